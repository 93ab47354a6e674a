"""How many messages wait in Postfix's deferred queue, in Prometheus' text format.

    exporter.py PORT DIRECTORY
"""

import http.server
import os
import socket
import sys


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        deferred = sum(len(files) for _, _, files in os.walk(sys.argv[2]))
        text = ("# HELP postfix_queue_length Messages in a queue.\n# TYPE postfix_queue_length gauge\n"
                f'postfix_queue_length{{queue="deferred"}} {deferred}\n').encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Nobody reads it."""


if __name__ == "__main__":
    Server(("::", int(sys.argv[1])), Metrics).serve_forever()
