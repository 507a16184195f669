-- The tables of edge.db, step 1 of migrate.py. docs/store.md explains every column.
--
-- Little wear is designed in: an alert is written in two commits, and a commit writes every page it
-- touches. Hence integer keys in the order of writing, one index per question that is really asked,
-- no value stored twice (events refer to the model, configuration and decisions by number), and
-- partial indexes, which only the rows that answer the question enter.
-- Times are seconds since the epoch. Nothing here is ever updated except where it says so.

PRAGMA application_id = 0x45444745;  -- "EDGE"

CREATE TABLE meta (
    key TEXT PRIMARY KEY,            -- "store": UUID of this store; "boot": starts so far (updated)
    value
) WITHOUT ROWID;

CREATE TABLE models (
    n INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    UNIQUE (sha256, name, version)
);

CREATE TABLE configs (
    n INTEGER PRIMARY KEY,
    sha TEXT NOT NULL UNIQUE,        -- config_sha256 of the resolved pipeline
    text TEXT                        -- its canonical JSON, without secrets (set once it is known)
);

-- Why: of every event, and of the nearest misses and skipped frames (a bounded number of these).
CREATE TABLE decisions (
    n INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('event', 'miss', 'skip')),
    pipeline TEXT NOT NULL,
    rule TEXT,
    time REAL NOT NULL,
    frame INTEGER NOT NULL,
    track INTEGER,
    label TEXT,
    stages TEXT NOT NULL             -- JSON: [{"stage", "verdict", "numbers"}] (updated at closing)
);
CREATE INDEX decisions_around ON decisions (pipeline, time) WHERE kind <> 'event';

CREATE TABLE events (
    n INTEGER PRIMARY KEY,           -- the order of recording
    id TEXT NOT NULL,                -- 16 hexadecimal digits
    boot INTEGER NOT NULL,
    priority TEXT NOT NULL CHECK (priority IN ('alert', 'notice', 'record')),
    pipeline TEXT NOT NULL,
    source TEXT NOT NULL,
    rule TEXT NOT NULL,
    label TEXT,
    zone TEXT,
    text TEXT NOT NULL,
    advice TEXT,
    opened REAL NOT NULL,
    seen REAL NOT NULL,              -- updated every flush_s while it is open, as the scores are
    closed REAL,                     -- updated once
    close_reason TEXT CHECK ((closed IS NULL) = (close_reason IS NULL)),
    score_max REAL NOT NULL,
    score_median REAL NOT NULL,
    track INTEGER,
    count INTEGER NOT NULL,
    box TEXT,                        -- JSON: [x0, y0, x1, y1]
    frame INTEGER NOT NULL,
    input TEXT,
    evidence TEXT NOT NULL,          -- JSON: [{"path", "sha256", …}]
    decision INTEGER NOT NULL REFERENCES decisions (n),
    model INTEGER NOT NULL REFERENCES models (n),
    config INTEGER NOT NULL REFERENCES configs (n),
    engine TEXT NOT NULL
);
CREATE UNIQUE INDEX events_by_id ON events (id);
CREATE INDEX events_by_time ON events (opened);
CREATE INDEX events_open ON events (closed) WHERE closed IS NULL;

-- What leaves, in order. seq is the rowid: SQLite gives max(seq) + 1 inside the transaction, so it
-- has no gaps, and since the newest row cannot be deleted, no seq is ever given twice.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,                -- <event>/open, <event>/close, or the sender's own
    topic TEXT NOT NULL,
    created REAL NOT NULL,
    sent INTEGER,                    -- 1: the broker acknowledged it (updated, in batches). A
                                     -- time here would lengthen the row and rewrite its body
    body TEXT NOT NULL,              -- JSON: "data" of the envelope
    boot INTEGER NOT NULL,
    clock TEXT NOT NULL,             -- synced | unsynced | corrected
    priority INTEGER NOT NULL        -- 0 leaves first
);
CREATE INDEX outbox_unsent ON outbox (sent) WHERE sent IS NULL;
-- An alert's id is unique because its event opens once (events_by_id) and closes once; an index
-- over those random ids would add a third to what an alert writes. The others are few.
CREATE UNIQUE INDEX outbox_other_ids ON outbox (id) WHERE topic <> 'alert';
CREATE TRIGGER outbox_newest_stays BEFORE DELETE ON outbox
WHEN old.seq = (SELECT max(seq) FROM outbox)
BEGIN
    SELECT RAISE(ABORT, 'the newest outbox row carries the sequence and must stay');
END;

CREATE TABLE summaries (
    n INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    pipeline TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL NOT NULL,
    body TEXT NOT NULL               -- JSON
);

-- The ledger: one row per pipeline and flush, of the frames decided in that window.
CREATE TABLE frames (
    n INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    pipeline TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL NOT NULL,
    captured INTEGER NOT NULL,
    inferred INTEGER NOT NULL,
    skipped TEXT NOT NULL,           -- JSON: {reason: number}
    failed INTEGER NOT NULL,
    pending INTEGER NOT NULL         -- at the end of the window
);

-- For people: `sqlite-utils rows edge.db event_log --limit 20 --table`
CREATE VIEW event_log AS
SELECT id, datetime(opened, 'unixepoch') AS opened_utc, round(closed - opened, 1) AS lasted_s,
       priority, pipeline, rule, label, zone, round(score_max, 2) AS score, close_reason, text
FROM events ORDER BY opened DESC, n DESC;
