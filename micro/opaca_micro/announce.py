"""Keeps the board attached to its platform, whichever of the two restarts, moves or gets another token."""

import asyncio
import json
import os
import random

from opaca_micro.clock import passed_ms, ticks_ms
from opaca_micro.http import request


class Announcer:
    """Attaches a container to the platform of its settings, and tells it of changes.

    Times are attributes of the class, in seconds unless they say otherwise.

    Args:
        config: Settings; `user`, `password`, `token`, `platform` and `key` are used.
        container: What is attached; it gets a token that the platform must show, and in the end its `container_id`.
        network: Tells the board's address, and whether there is a network at all.
        reload: Returns the settings as they are now, or raises; they are read again when the platform refuses.
    """

    # The platform looks every 30 to 38 s, unless calls succeed; one that is silent for longer may have forgotten us.
    silence_ms = 90000
    first_pause_s = 1
    last_pause_s = 60
    # What is refused needs a person: another token, another user.
    refused_pause_s = 300
    # Wi-Fi that claims to be up, but carried nothing for so long, is joined anew.
    doubt_ms = 600000

    def __init__(self, config, container, network, reload=None):
        container.token = os.urandom(16).hex()
        container.on_change = self.changed
        # Who shows our token is the platform, and alive.
        self._admits = container.admits
        container.admits = self._admit
        self.container = container
        self.is_attached = False
        self._config = config
        self._network = network
        self._reload = reload
        self._token = self._settings_token = None
        self._know(config)
        self._url = ""
        self._is_changed = False
        self._heard = ticks_ms()
        self._trouble = ""
        self._pause_s = self.first_pause_s
        self._news = None

    def _admit(self, headers):
        is_platform = self._admits(headers)
        if is_platform:
            self.heard()
        return is_platform

    def heard(self):
        """Note that the platform called."""
        self._heard = ticks_ms()

    def changed(self):
        """Let the platform read the description anew."""
        self._is_changed = True
        if self._news and not self._trouble:
            self._news.set()

    def moved(self):
        """Say at once that the board is there, or there again, also in the midst of a pause."""
        self._is_changed = True
        if self._news:
            self._news.set()

    async def keep(self):
        """Stay attached for ever."""
        self._news = asyncio.Event()
        while True:
            wait_s = 1
            if self._network.is_up():
                wait_s = await self._look()
            try:
                await asyncio.wait_for(self._news.wait(), wait_s)
                # What changes comes in flocks.
                await asyncio.sleep(0.2)
                self._news.clear()
            except asyncio.TimeoutError:
                pass

    async def _look(self):
        """Do what is due, and return for how many seconds there is nothing to do."""
        is_done, is_refused = True, False
        if self._is_due():
            try:
                is_done, is_refused = await self._speak()
            except (OSError, MemoryError, ValueError) as error:  # the last one: an answer that is no text
                is_done, self._is_changed = False, True
                self._say("cannot be reached: " + (str(error) or type(error).__name__))
        if is_done:
            if self._trouble:
                self._say("")
            self._pause_s = self.first_pause_s
            return max(1, (self.silence_ms - passed_ms(self._heard)) / 1000)
        if passed_ms(self._heard) > self.doubt_ms:
            self.heard()
            self._network.doubt()
        if (is_refused or self._pause_s == self.last_pause_s) and self._reread():
            return self.first_pause_s
        wait_s = self.refused_pause_s if is_refused else self._pause_s
        self._pause_s = min(self.last_pause_s, self._pause_s * 2)
        return wait_s * random.uniform(0.75, 1.25)

    async def broadcast(self, channel, payload):
        """Broadcast on a channel of the platform; True if the platform took it.

        Raises:
            OSError: it could not be reached.
        """
        status, answer = await self._ask("/broadcast/" + _escaped(channel), {"payload": payload, "replyTo": ""})
        if status != 200:
            self._say(_message(status, answer))
        return status == 200

    async def attach(self):
        """Attach the board; returns whether that succeeded, and whether it was refused.

        Raises:
            OSError: the platform could not be reached.
        """
        url = self._own_url()
        config = {"type": "ATTACHED", "url": url, "key": self._config.key}
        if self._config.push:
            config["push"] = True
        else:
            config["token"] = self.container.token
        image = {"imageName": self.container.image_name, "description": self.container.description}
        self._is_changed = False
        status, answer = await self._ask("/containers", {"image": image, "clientConfig": config})
        if status != 200:
            self._say(_message(status, answer))
            return False, status in (400, 401, 403)
        self.container.container_id = answer.decode().strip().strip('"')
        self._url = url
        self.is_attached = True
        self.heard()
        print("attached to", self._platform, "as container", self.container.container_id)
        return True, False

    def _is_due(self):
        is_silent = passed_ms(self._heard) >= self.silence_ms
        return not self.is_attached or self._is_changed or is_silent or self._url != self._own_url()

    async def _speak(self):
        if not self.is_attached or self._url != self._own_url():
            return await self.attach()
        self._is_changed = False
        status, answer = await self._ask("/containers/notify", self.container.container_id)
        if status == 200 and answer == b"true":
            self.heard()
            return True, False
        # It has forgotten us, or looks for us where we are not, or with a token that is no longer ours.
        self.is_attached = False
        return await self.attach()

    async def _ask(self, path, body):
        """Post as the board's user; where its token is refused, with the one in the settings now, or by login."""
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        status, answer = 401, b""
        if self._token or not self._password or await self._login():
            status, answer = await request(self._platform, "POST", path, data, self._token, self._network)
        if status == 401 and (self._reread() or await self._login()):
            status, answer = await request(self._platform, "POST", path, data, self._token, self._network)
        return status, answer

    async def _login(self):
        """Get another token, if there is a password to get it for."""
        if not self._password:
            return False
        data = json.dumps({"username": self._user, "password": self._password}).encode()
        status, answer = await request(self._platform, "POST", "/login", data, "", self._network)
        self._token = answer.decode().strip() if status == 200 else ""
        return status == 200

    def _reread(self):
        """Take over who we are from the settings, whose file may have changed; True if there is another token."""
        if not self._reload:
            return False
        try:
            config = self._reload()
        except Exception as error:  # noqa: BLE001 - a file that is just being written, or wrong
            print(error)
            return False
        is_other = config.token != self._settings_token
        self._know(config)
        return is_other

    def _know(self, config):
        self._platform, self._user, self._password = config.platform, config.user, config.password
        if config.token != self._settings_token:
            self._token = self._settings_token = config.token

    def _own_url(self):
        config = self._config
        return config.url or "http://" + self._network.address() + ":" + str(config.port)

    def _say(self, trouble):
        """One line for each new trouble, however often it is met."""
        if trouble != self._trouble:
            print("the platform", self._platform, trouble or "is there again")
        self._trouble = trouble


def _message(status, answer):
    if status == 401:
        return "refuses this board's token (and password); opaca.json is read again every few minutes"
    if status == 403:
        return "refuses this board: its user may not attach, or is attached with another key"
    try:
        text = json.loads(answer)["message"]
    except (ValueError, KeyError, TypeError):
        text = ""
    return "answers " + str(status) + " " + str(text)[:200]


def _escaped(text):
    # More than has to be, which is allowed: a list of all that need not be costs memory.
    return "".join([chr(byte) if chr(byte).isalpha() and byte < 128 else "%%%02X" % byte for byte in text.encode()])
