#!/usr/bin/env python3
"""Downloads a public data set from its owner, checks it and unpacks what `spar import` reads.

  python3 data_tools/fetch.py ml-100k --to data/download/ml-100k

Only the standard library is used. A download is complete and checked, or nothing is left behind.
"""

import argparse
import hashlib
import os
import pathlib
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile


class DataSet:
    def __init__(self, url, md5, members):
        self.url = url
        self.md5 = md5  # as the owner publishes it beside the archive
        self.members = members  # path in the archive -> SHA-256, or None where the archive's checksum is enough


DATA_SETS = {
    "ml-100k": DataSet(
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "0e33842e24a9c977be4e0107933c0723",
        {
            "ml-100k/u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
            "ml-100k/u.item": None,
            "ml-100k/u.user": None,
            "ml-100k/u.genre": None,
            "ml-100k/u.info": None,
            "ml-100k/u.occupation": None,
            "ml-100k/README": None,
        },
    ),
}


class FetchError(Exception):
    pass


def download(url, target):
    digest = hashlib.md5()
    try:
        with urllib.request.urlopen(url, timeout=60) as response, open(target, "wb") as out:
            while block := response.read(1 << 20):
                digest.update(block)
                out.write(block)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise FetchError(
            f"{url} cannot be downloaded ({reason}): fetch it elsewhere, unpack it and name the folder instead"
        ) from error
    return digest.hexdigest()


def unpack(archive, data_set, folder):
    with zipfile.ZipFile(archive) as packed:
        for member, sha256 in data_set.members.items():
            content = packed.read(member)
            if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
                raise FetchError(f"{member} in {data_set.url} is not the file that was expected: its SHA-256 differs")
            (folder / pathlib.PurePosixPath(member).name).write_bytes(content)


def fetch(name, to, url=None):
    data_set = DATA_SETS[name]
    to = pathlib.Path(to)
    if all((to / pathlib.PurePosixPath(member).name).exists() for member in data_set.members):
        return False
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
        archive = os.path.join(scratch, "archive.zip")
        source = url or data_set.url
        found = download(source, archive)
        if found != data_set.md5:
            raise FetchError(f"{source} has MD5 {found}, but its owner publishes {data_set.md5}: nothing was kept")
        unpacked = pathlib.Path(scratch) / "unpacked"
        unpacked.mkdir()
        unpack(archive, data_set, unpacked)
        unpacked.rename(to)
    return True


def main():
    parser = argparse.ArgumentParser(description="Download a public data set from its owner and check it.")
    parser.add_argument("name", choices=sorted(DATA_SETS))
    parser.add_argument("--to", required=True, help="the folder to fill")
    arguments = parser.parse_args()
    try:
        fresh = fetch(arguments.name, arguments.to)
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 3
    print(f"{arguments.name} {'downloaded to' if fresh else 'is already in'} {arguments.to}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
