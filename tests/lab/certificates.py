"""A certificate authority for one run, and what it issues: good and expired."""

from network import run

DAYS = {"good": ("20240101000000Z", "20990101000000Z"), "expired": ("20240101000000Z", "20240201000000Z")}


class Authority:
    def __init__(self, directory, names):
        self.directory = directory
        directory.mkdir()
        self.root = directory / "root.pem"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run("openssl", "req", "-x509", *key, "-keyout", directory / "root.key", "-out", self.root,
            "-days", 3650, "-subj", "/CN=Root of the lab")
        (directory / "index.txt").touch()
        (directory / "ca.conf").write_text(f"""[ca]
default_ca = lab
[lab]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectAltName = {",".join(f"DNS:{name}" for name in names)}
""")
        run("openssl", "req", *key, "-keyout", directory / "site.key", "-out", directory / "site.csr",
            "-subj", f"/CN={names[0]}")
        for kind, (start, end) in DAYS.items():
            run("openssl", "ca", "-batch", "-notext", "-config", directory / "ca.conf", "-cert", self.root,
                "-keyfile", directory / "root.key", "-in", directory / "site.csr",
                "-out", directory / f"{kind}.pem", "-startdate", start, "-enddate", end)
        self.key = directory / "site.key"

    def certificate(self, kind):
        return self.directory / f"{kind}.pem"
