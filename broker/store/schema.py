"""The registry's tables; a database carries the number of migrations that it has seen in `user_version`."""

from broker.auth.registry import RECORD_BITS

REGISTRY = (
    """
    CREATE TABLE device (
        device_id         TEXT PRIMARY KEY,
        node_id           TEXT NOT NULL,
        product_id        TEXT,
        protocol          TEXT NOT NULL CHECK (protocol IN ('mqtt', 'coap')),
        primary_secret    TEXT NOT NULL,
        primary_version   INTEGER NOT NULL,
        secondary_secret  TEXT,
        secondary_version INTEGER NOT NULL,
        frozen            INTEGER NOT NULL,
        secure_access     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

DEVICE_MANAGEMENT = (
    "ALTER TABLE device ADD COLUMN record_id INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE device ADD COLUMN device_name TEXT",
    "ALTER TABLE device ADD COLUMN description TEXT",
    "ALTER TABLE device ADD COLUMN timeout_s INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE device ADD COLUMN activated_ms INTEGER",
    # Nobody knows when the devices of before were added: at the upgrade, then, and in the order of their ids.
    f"""
    UPDATE device SET record_id = (strftime('%s', 'now') << {RECORD_BITS}) + ranked.place
    FROM (SELECT device_id, row_number() OVER (ORDER BY device_id) AS place FROM device) AS ranked
    WHERE device.device_id = ranked.device_id
    """,
    "CREATE INDEX device_by_node ON device (product_id, node_id)",
)

PRODUCTS = (
    """
    CREATE TABLE product (
        product_id TEXT PRIMARY KEY,
        protocol   TEXT NOT NULL CHECK (protocol IN ('mqtt', 'coap'))
    ) STRICT, WITHOUT ROWID
    """,
)

ROMA_LINK = (
    """
    CREATE TABLE roma_product (
        id                     INTEGER PRIMARY KEY AUTOINCREMENT,
        name                   TEXT NOT NULL UNIQUE,
        app_id                 TEXT NOT NULL,
        manufacturer_id        TEXT NOT NULL,
        manufacturer_name      TEXT NOT NULL,
        model                  TEXT NOT NULL,
        product_type           INTEGER NOT NULL,
        protocol_type          INTEGER NOT NULL,
        description            TEXT,
        device_type            TEXT,
        version                TEXT,
        data_format            INTEGER,
        created_ms             INTEGER NOT NULL,
        user_name              TEXT NOT NULL,
        password               TEXT NOT NULL,
        authentication_version INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE roma_device (
        id                     INTEGER PRIMARY KEY AUTOINCREMENT,
        client_id              TEXT NOT NULL UNIQUE,
        product_id             INTEGER NOT NULL REFERENCES roma_product (id),
        device_name            TEXT NOT NULL,
        node_id                TEXT NOT NULL,
        app_id                 TEXT NOT NULL,
        description            TEXT,
        disabled               INTEGER NOT NULL,
        created_ms             INTEGER NOT NULL,
        activated_ms           INTEGER,
        user_name              TEXT NOT NULL,
        password               TEXT NOT NULL,
        authentication_version INTEGER NOT NULL
    ) STRICT
    """,
)

MIGRATIONS = (REGISTRY, DEVICE_MANAGEMENT, PRODUCTS, ROMA_LINK)

LOAD = "SELECT * FROM device ORDER BY record_id"

LAST_RECORD_ID = "SELECT coalesce(max(record_id), 0) FROM device"

LOAD_ACTIVATIONS = """
    SELECT device_id, activated_ms FROM device WHERE activated_ms IS NOT NULL
    UNION ALL SELECT client_id, activated_ms FROM roma_device WHERE activated_ms IS NOT NULL
"""

RESET_PRIMARY = """
    UPDATE device SET primary_secret = :secret, primary_version = primary_version + 1
    WHERE device_id = :device_id RETURNING *
"""

RESET_SECONDARY = """
    UPDATE device SET secondary_secret = :secret, secondary_version = secondary_version + 1
    WHERE device_id = :device_id RETURNING *
"""

SET_FROZEN = """
    UPDATE device SET frozen = :frozen WHERE device_id = :device_id AND frozen <> :frozen RETURNING *
"""

DELETE = "DELETE FROM device WHERE device_id = :device_id RETURNING *"

UPDATE = """
    UPDATE device SET
        device_name = coalesce(:device_name, device_name),
        description = coalesce(:description, description),
        secure_access = coalesce(:secure_access, secure_access),
        timeout_s = coalesce(:timeout_s, timeout_s)
    WHERE device_id = :device_id RETURNING *
"""

LOAD_PRODUCTS = "SELECT * FROM product ORDER BY product_id"

# A product's devices are of its protocol: it is set before they are there, or as they are.
PUT_PRODUCT = """
    INSERT INTO product (product_id, protocol) SELECT :product_id, :protocol
    WHERE NOT EXISTS (SELECT 1 FROM device WHERE product_id = :product_id AND protocol <> :protocol)
    ON CONFLICT (product_id) DO UPDATE SET protocol = excluded.protocol
    RETURNING *
"""

ACTIVATE = "UPDATE device SET activated_ms = :activated_ms WHERE device_id = :device_id"
ACTIVATE_ROMA = "UPDATE roma_device SET activated_ms = :activated_ms WHERE client_id = :device_id"

_INSERT = """
    INSERT INTO device (
        device_id, node_id, product_id, protocol, primary_secret, primary_version,
        secondary_secret, secondary_version, frozen, secure_access,
        record_id, device_name, description, timeout_s
    ) SELECT
        :device_id, :node_id, :product_id, :protocol, :primary, 1,
        :secondary, :secondary IS NOT NULL, 0, :secure_access,
        :record_id, :device_name, :description, :timeout_s
"""

CREATE = f"""{_INSERT}
    WHERE NOT EXISTS (SELECT 1 FROM device WHERE product_id = :product_id AND node_id = :node_id)
    AND NOT EXISTS (SELECT 1 FROM product WHERE product_id = :product_id AND protocol <> :protocol)
    ON CONFLICT (device_id) DO NOTHING
    RETURNING *
"""

PROVISION = f"""{_INSERT}
    WHERE true
    ON CONFLICT (device_id) DO UPDATE SET
        node_id = excluded.node_id,
        product_id = excluded.product_id,
        protocol = excluded.protocol,
        primary_secret = excluded.primary_secret,
        primary_version = primary_version + 1,
        secondary_secret = excluded.secondary_secret,
        secondary_version = secondary_version + excluded.secondary_version,
        frozen = excluded.frozen,
        secure_access = excluded.secure_access
    RETURNING *
"""
