"""Asynchronous commands on their way to NB-IoT devices: written to 19/1/0, one at a time, when a device can be reached.

The vendor's codec plug-ins turn a command into a device's own bytes; here it goes as the JSON that a plug-in is given
(support.huaweicloud.com, devg-iothub, codec development): `cloudReq` down, `deviceRsp` up, matched by `mid`.
"""

from typing import Any

import orjson
from aiocoap import Code, ContentFormat, Message

from broker.async_commands import AsyncCommand, AsyncCommands
from broker.lwm2m.peers import Peer
from broker.lwm2m.registrations import Registrations
from wire.coap.peer import MAX_TRANSMIT_WAIT_S

COMMANDS = ("19", "1", "0")
MAX_MID = 65_535
MAX_UNANSWERED = 20
MAX_WRITE = 16_000
"""What fits into a record of DTLS (RFC 6347 §4.1) beside a message's head. A longer command fails: no block-wise."""
AWAKE_S = MAX_TRANSMIT_WAIT_S
"""How long a device in queue mode listens after it was heard (OMA LwM2M 1.1 §6.5)."""


class CommandWriter:
    """Hands commands to devices, and their answers to who keeps the commands."""

    def __init__(self, commands: AsyncCommands, registrations: Registrations[Peer]) -> None:
        self._commands = commands
        self._registrations = registrations

    def go_on(self, device_id: str, now: float) -> None:
        """Write the next command to a device, if there is one and it can be reached."""
        registration = self._registrations.of(device_id)
        if registration is None:
            return
        silent_s = self._registrations.silence.of_s(device_id, now)
        sleeps = registration.queue_mode and (silent_s is None or silent_s > AWAKE_S)
        if registration.peer.deaf or sleeps:
            return
        command = self._commands.next_due(device_id)
        if command is not None and self._commands.sent(device_id, command.command_id):
            self._write(registration.peer, command, now)

    def acknowledged(self, peer: Peer, token: bytes, message: Message, now: float) -> bool:
        """Take the answer to a write; False if it is the answer to something else."""
        command_id = peer.written.pop(token, None)
        if command_id is None or peer.registration is None:
            return command_id is not None
        device_id = peer.registration.device_id
        if message.code.is_successful():
            self._commands.delivered(device_id, command_id)
        else:
            self._commands.answered(device_id, command_id, None, successful=False)
        self.go_on(device_id, now)
        return True

    def take_back(self, device_id: str, peer: Peer) -> None:
        """Put commands whose write was not acknowledged back into their queue."""
        for command_id in peer.written.values():
            self._commands.taken_back(device_id, command_id)

    def reported(self, peer: Peer, report: Any) -> None:
        """Take a report that may say what became of a command; who answers one has got it, acknowledged or not."""
        if peer.registration is None or not isinstance(report, dict) or report.get("msgType") != "deviceRsp":
            return
        mid = report.get("mid")
        command_id = peer.commands.pop(mid, None) if isinstance(mid, int) else None
        if command_id is not None:
            result = _as_json(report.get("body"))
            is_done, device_id = report.get("errcode") == 0, peer.registration.device_id
            self._commands.sent(device_id, command_id)
            self._commands.answered(device_id, command_id, result, successful=is_done)

    def _write(self, peer: Peer, command: AsyncCommand, now: float) -> None:
        peer.last_mid = peer.last_mid % MAX_MID + 1
        body = {
            "msgType": "cloudReq",
            "mid": peer.last_mid,
            "serviceId": command.wanted.service_id,
            "cmd": command.wanted.command_name,
            "paras": orjson.Fragment(command.wanted.paras),
        }
        payload = orjson.dumps(body)
        if len(payload) > MAX_WRITE:
            self._commands.answered(command.device_id, command.command_id, None, successful=False)
            return
        message = Message(code=Code.PUT, uri_path=COMMANDS, payload=payload, content_format=ContentFormat.OCTETSTREAM)
        token = peer.coap.request(message, now)
        peer.written[token] = command.command_id
        peer.commands[peer.last_mid] = command.command_id
        if len(peer.commands) > MAX_UNANSWERED:
            del peer.commands[next(iter(peer.commands))]


def _as_json(body: Any) -> bytes | None:
    """Return what a device has answered; None for what is nested more deeply than we can write."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return None
