"""The registry's tables; a database carries the number of migrations that it has seen in `user_version`."""

MIGRATIONS = (
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

LOAD = "SELECT * FROM device ORDER BY device_id"

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

PROVISION = """
    INSERT INTO device (
        device_id, node_id, product_id, protocol, primary_secret, primary_version,
        secondary_secret, secondary_version, frozen, secure_access
    ) VALUES (
        :device_id, :node_id, :product_id, :protocol, :primary, 1,
        :secondary, :secondary IS NOT NULL, 0, :secure_access
    )
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
