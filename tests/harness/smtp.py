"""A mail server for the tests: Debian's aiosmtpd on a loopback port.

smtp.py plain|starttls|tls|plain-login FOLDER [CERTIFICATE KEY]. It prints its port, and writes each mail it takes into
FOLDER as it came (N.eml) and as the standard library reads it (N.json).
"""

import asyncio
import json
import os
import ssl
import sys
from email import message_from_bytes
from email.policy import default

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

mode, folder = sys.argv[1], sys.argv[2]


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(sys.argv[3], sys.argv[4])
    return made


def authenticate(server, session, envelope, mechanism, data):
    good = LoginPassword(b"lineman", "geheim wort".encode())
    return AuthResult(success=data == good, handled=False)


class Handler:
    taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 no such user, geheim wort"
        if address.startswith("full@"):
            return "452 4.2.2 the mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        raw = envelope.original_content
        mail = message_from_bytes(raw, policy=default)
        read = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": session.ssl is not None or mode == "tls",
            "logged_in": bool(session.authenticated),
            "headers": [[name, str(value)] for name, value in mail.items()],
            "body": mail.get_content(),
            "defects": [str(defect) for part in mail.walk() for defect in part.defects],
            "ascii": raw.isascii(),
            "longest_line": max(len(line) for line in raw.split(b"\r\n")),
            "bare_ends": raw.replace(b"\r\n", b"").count(b"\n") + raw.replace(b"\r\n", b"").count(b"\r"),
        }
        path = os.path.join(folder, str(self.taken))
        self.taken += 1
        with open(path + ".eml", "wb") as file:
            file.write(raw)
        with open(path + ".new", "w") as file:
            json.dump(read, file)
        os.rename(path + ".new", path + ".json")
        return "250 2.0.0 taken as %d" % self.taken


handler = Handler()


def protocol():
    options = {"hostname": "mail.example.org", "ident": "test"}
    if mode == "starttls":
        options |= {"tls_context": context(), "require_starttls": True}
    if mode != "plain":
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": mode == "starttls"}
    return SMTP(handler, **options)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context() if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
