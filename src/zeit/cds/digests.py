"""SHA-256: OpenSSL is loaded for the first one, and who has nothing to compare needs none."""

#: So many bytes of a file are read at once.
CHUNK = 64 * 1024


def sha256(data=b''):
    """Return a hash object (see hashlib) that has `data`."""
    import hashlib

    return hashlib.sha256(data)


def of_file(file):
    """Return the digest, in hexadecimal, of what is in a binary file from here on."""
    digest = sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
