"""Fixtures of pytest: a database of the OptiInfra platform for each test.

The first test starts a private PostgreSQL from this machine's server binaries, which ends with the run. Each test gets a URL
that libpq, psycopg and SQLAlchemy take, of a database of its own, which is dropped when the test ends.
"""

import subprocess

import pytest

from . import find_binary


class Server:
    """A server for tests: `optiinfra-dbctl local test-server`."""

    def __init__(self):
        self._process = subprocess.Popen(
            [find_binary(), "local", "test-server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, request: str) -> str:
        """Sends a request and returns the answer."""
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended, and says why below.
        answer = self._process.stdout.readline().rstrip("\n")
        if not answer:
            raise RuntimeError(f"{request}: {self._process.stderr.read().strip()}")
        return answer

    def close(self):
        """Ends the server, and its databases with it."""
        self._process.communicate()


@pytest.fixture(scope="session")
def optiinfra_server():
    """The server of the run, for fixtures of one's own."""
    server = Server()
    yield server
    server.close()


def _database(server: Server, content: str):
    url = server.ask(content)
    yield url
    server.ask(f"drop {url}")


@pytest.fixture
def optiinfra_database(optiinfra_server):
    """The URL of a database with every migration applied."""
    yield from _database(optiinfra_server, "migrated")


@pytest.fixture
def optiinfra_seeded_database(optiinfra_server):
    """The URL of a database with every migration applied and the example data of every layer."""
    yield from _database(optiinfra_server, "seeded")
