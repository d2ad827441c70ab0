"""What answers in a test's network: dns=ADDRESS;NAME=ADDRESS,... http=PORT:BODY tls=PORT:CERT:KEY. Says `ready` when all listen."""
import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading


def name_of(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += packet[at] + 1
    return ".".join(labels).lower(), at + 1


def answer(packet, names):
    name, end = name_of(packet)
    kind = struct.unpack(">H", packet[end:end + 2])[0]
    question = packet[12:end + 4]
    records = b""
    count = 0
    code = 0
    if name == "" and kind == 2:
        data = b"\x01a\x0croot-servers\x03net\x00"
        records, count = b"\xc0\x0c" + struct.pack(">HHIH", 2, 1, 60, len(data)) + data, 1
    elif name in names:
        for address in names[name]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (28 if ":" in address else 1):
                data = socket.inet_pton(family, address)
                records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
                count += 1
    else:
        code = 3
    head = packet[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0)
    return head + question + records


def dns(text):
    own, text = text.split(";", 1)
    names = {}
    for entry in filter(None, text.split(",")):
        name, address = entry.split("=", 1)
        names.setdefault(name, []).append(address)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((own, 53))
    tcp = socket.create_server((own, 53))

    def over_udp():
        while True:
            packet, client = udp.recvfrom(4096)
            udp.sendto(answer(packet, names), client)

    def over_tcp():
        while True:
            stream, _ = tcp.accept()
            with stream:
                try:
                    length = struct.unpack(">H", stream.recv(2))[0]
                    reply = answer(stream.recv(length), names)
                    stream.sendall(struct.pack(">H", len(reply)) + reply)
                except (OSError, struct.error):
                    pass

    threading.Thread(target=over_udp, daemon=True).start()
    threading.Thread(target=over_tcp, daemon=True).start()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


def web(port, body, wrap=None):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            moved = body.startswith("->")
            self.send_response(302 if moved else 200)
            if moved:
                self.send_header("Location", body[2:])
            self.send_header("Content-Length", "0" if moved else str(len(body)))
            self.end_headers()
            if not moved:
                self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = Server(("::", port), Page)
    if wrap:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*wrap)
        # The handshake is made by the thread that serves the connection.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


for argument in sys.argv[1:]:
    what, rest = argument.split("=", 1)
    if what == "dns":
        dns(rest)
    elif what == "http":
        port, body = rest.split(":", 1)
        web(int(port), body)
    elif what == "tls":
        port, certificate, key = rest.split(":", 2)
        web(int(port), "fine", (certificate, key))
print("ready", flush=True)
# Whoever started this may be killed: then there is nobody left at the other end.
sys.stdin.read()
