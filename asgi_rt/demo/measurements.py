"""Weather measurements in SQLite: made up, and the same on every machine.

Everything here blocks; the app calls it from sync handlers and generators, which asgi_rt runs in
worker threads.
"""

import math
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asgi_rt.demo.cache import create_once

__all__ = ["COLUMNS", "create_database", "find_station", "list_stations", "read_measurements"]

COLUMNS: Final = ("id", "station", "time", "temperature_c", "humidity_percent", "wind_m_s")
_STATIONS: Final = (
    ("Harbour", 3),
    ("Old Town", 24),
    ("Airport", 41),
    ("Riverside", 12),
    ("University", 58),
    ("Vineyard Hill", 214),
    ("North Forest", 377),
    ("Reservoir", 520),
    ("High Pasture", 1108),
    ("Summit", 1846),
)
_HOURS: Final = 10_000
_BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
_SCHEMA: Final = """
CREATE TABLE stations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, altitude_m INTEGER NOT NULL);
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    station INTEGER NOT NULL REFERENCES stations (id),
    time TEXT NOT NULL,
    temperature_c REAL NOT NULL,
    humidity_percent INTEGER NOT NULL,
    wind_m_s REAL NOT NULL
);
CREATE INDEX measurements_by_station ON measurements (station);
"""


def create_database(directory: Path) -> Path:
    """The database with its 100,000 measurements; made where it is not there yet."""
    return create_once(directory / "measurements-1.sqlite", _fill)


def read_measurements(
    database: Path, *, station: int | None = None, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Row by row, in order: of one station or all, no more than `limit`."""
    query = f"SELECT {', '.join(COLUMNS)} FROM measurements"
    query += " WHERE station = :station" if station is not None else ""
    query += " ORDER BY id LIMIT :limit"
    # SQLite takes -1 for no limit.
    values = {"station": station, "limit": -1 if limit is None else limit}
    with closing(_connect(database)) as connection:
        yield from map(dict, connection.execute(query, values))


def list_stations(database: Path) -> list[dict[str, Any]]:
    """Every station."""
    with closing(_connect(database)) as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM stations ORDER BY id")]


def find_station(database: Path, station: int) -> dict[str, Any] | None:
    """One station with a summary of its measurements; None where there is none with that id."""
    query = """
        SELECT stations.*, count(*) AS measurements, min(temperature_c) AS min_temperature_c,
               round(avg(temperature_c), 1) AS mean_temperature_c,
               max(temperature_c) AS max_temperature_c
        FROM stations JOIN measurements ON station = stations.id
        WHERE stations.id = ? GROUP BY stations.id
    """
    with closing(_connect(database)) as connection:
        row = connection.execute(query, (station,)).fetchone()
        return None if row is None else dict(row)


def _connect(database: Path) -> sqlite3.Connection:
    # A stream's batches are pulled by one thread after the other, never by two at once.
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_SCHEMA)
        numbered = [(number, *station) for number, station in enumerate(_STATIONS, 1)]
        connection.executemany("INSERT INTO stations VALUES (?, ?, ?)", numbered)
        connection.executemany("INSERT INTO measurements VALUES (?, ?, ?, ?, ?, ?)", _weather())


def _weather() -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    for hour in range(_HOURS):
        time = (_BEGIN + timedelta(hours=hour)).isoformat()
        season = -math.cos(2 * math.pi * hour / (365.25 * 24))
        daylight = -math.cos(2 * math.pi * (hour % 24 - 2) / 24)
        for station, (_, altitude_m) in enumerate(_STATIONS, 1):
            temperature = 11 + 9 * season + 4 * daylight - altitude_m * 0.0065
            temperature += chance.gauss(0, 1.5)
            humidity = min(100, max(15, round(70 - 12 * daylight + chance.gauss(0, 9))))
            wind = abs(chance.gauss(3 + altitude_m / 300, 2))
            number = hour * len(_STATIONS) + station
            yield number, station, time, round(temperature, 1), humidity, round(wind, 1)
