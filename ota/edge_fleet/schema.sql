-- The desk's archive. Times are seconds since the epoch where they are the desk's own; what a device
-- told stands as it told it. docs/fleet.md explains every table.

PRAGMA application_id = 0x45444646;  -- "EDFF"
PRAGMA user_version = 2;

-- One store of one device: the numbers of its messages are one sequence.
CREATE TABLE streams (
    n INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    store TEXT NOT NULL,
    since REAL NOT NULL,             -- when the desk first heard of it
    told TEXT,                       -- when the device last said what it holds, by its own clock
    depth INTEGER NOT NULL DEFAULT 0,
    oldest_seq INTEGER,
    newest_seq INTEGER,
    last_seq INTEGER NOT NULL DEFAULT 0,
    UNIQUE (device, store)
);

CREATE TABLE messages (
    n INTEGER PRIMARY KEY,           -- the order of arrival
    stream INTEGER NOT NULL REFERENCES streams (n),
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    time TEXT NOT NULL,
    clock TEXT NOT NULL,
    boot INTEGER NOT NULL,
    session INTEGER NOT NULL,
    data TEXT NOT NULL,              -- JSON
    via TEXT NOT NULL,               -- mqtt | stick
    received REAL NOT NULL,
    UNIQUE (stream, seq)
);
CREATE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_of_ota ON messages (n) WHERE topic = 'ota';

-- Another number for a message that is here already: after a salvage alerts come again under a new
-- store, with their old id.
CREATE TABLE repeats (
    stream INTEGER NOT NULL REFERENCES streams (n),
    seq INTEGER NOT NULL,
    message INTEGER NOT NULL REFERENCES messages (n),
    PRIMARY KEY (stream, seq)
) WITHOUT ROWID;

-- What devices declared that they will never send.
CREATE TABLE losses (
    stream INTEGER NOT NULL REFERENCES streams (n),  -- whose numbers these are
    by TEXT NOT NULL,                -- store/seq of the message that says so
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    reason TEXT NOT NULL,
    counts TEXT,                     -- JSON, in the first row of a message
    successor TEXT,                  -- the store that took the place of this one
    PRIMARY KEY (stream, by, first)
) WITHOUT ROWID;

CREATE INDEX losses_erased ON losses (stream, first, last) WHERE reason = 'erased';

-- Events that devices erased for somebody's sake; the ids of their messages begin so.
CREATE TABLE erased (
    device TEXT NOT NULL,
    event TEXT NOT NULL,
    by TEXT NOT NULL,                -- store/seq of the message that says so
    PRIMARY KEY (device, event)
) WITHOUT ROWID;

-- Two different messages with one number: the store was copied, or restored from a backup.
CREATE TABLE conflicts (
    stream INTEGER NOT NULL REFERENCES streams (n),
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    time TEXT NOT NULL,
    data TEXT NOT NULL,
    received REAL NOT NULL,
    PRIMARY KEY (stream, seq, id)
) WITHOUT ROWID;

-- The latest of the topics that are not counted.
CREATE TABLE latest (
    device TEXT NOT NULL,
    topic TEXT NOT NULL,             -- status | health
    time TEXT NOT NULL,
    data TEXT NOT NULL,
    received REAL NOT NULL,
    PRIMARY KEY (device, topic)
) WITHOUT ROWID;

-- Devices that the desk expects, with the tags it knows of them until they tell their own.
CREATE TABLE enrolled (
    device TEXT PRIMARY KEY,
    tags TEXT NOT NULL,              -- JSON
    since REAL NOT NULL
) WITHOUT ROWID;

-- What was no message, the newest thousand.
CREATE TABLE refused (
    n INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL,           -- its first 4096 bytes
    received REAL NOT NULL
);

CREATE VIEW message_log AS
SELECT m.time, s.device, m.topic, m.id, s.store, m.seq, m.via, m.data
FROM messages m JOIN streams s ON s.n = m.stream ORDER BY m.n DESC;
