/** Opening a database file: checks that it is ours, brings its tables up to date, and turns failures into sentences. */
import { DatabaseSync } from "node:sqlite"
import { StoreFailed } from "../../model/error.ts"

/** `application_id` of our files: "HDDL". */
const applicationId = 0x48_44_44_4c

/** Each entry brings a database from its index to the next version, in one transaction. */
const migrations: ReadonlyArray<string> = [
  `CREATE TABLE runs (
     nr INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     flow TEXT NOT NULL,
     version INTEGER NOT NULL,
     fingerprint TEXT NOT NULL,
     status TEXT NOT NULL,
     input TEXT NOT NULL,
     source TEXT,
     owner TEXT NOT NULL,
     fence INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX runs_by_status ON runs (status, nr);
   CREATE TABLE events (
     id INTEGER PRIMARY KEY, -- run number and event number in one, so that a run's events lie together
     run INTEGER NOT NULL,
     at INTEGER NOT NULL,
     kind TEXT NOT NULL,
     parent TEXT NOT NULL,
     name TEXT NOT NULL,
     data TEXT NOT NULL
   ) STRICT;
   CREATE INDEX events_by_parent ON events (run, parent);`,
  `ALTER TABLE runs ADD COLUMN due INTEGER;
   ALTER TABLE runs ADD COLUMN waits TEXT NOT NULL DEFAULT '[]';
   ALTER TABLE runs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE runs ADD COLUMN crashed_at INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE runs ADD COLUMN parent TEXT;
   ALTER TABLE runs ADD COLUMN origin TEXT;
   UPDATE runs SET due = updated_at WHERE status = 'running';
   CREATE INDEX runs_due ON runs (due) WHERE due IS NOT NULL;
   CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
   CREATE TABLE signals (
     nr INTEGER PRIMARY KEY,
     run INTEGER NOT NULL,
     id TEXT NOT NULL,
     name TEXT NOT NULL,
     data TEXT NOT NULL,
     at INTEGER NOT NULL,
     taken INTEGER,
     late INTEGER NOT NULL DEFAULT 0,
     UNIQUE (run, id)
   ) STRICT;
   CREATE INDEX signals_waiting ON signals (run, name) WHERE taken IS NULL AND late = 0;
   CREATE TABLE flows (fingerprint TEXT PRIMARY KEY, encoded TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  // a number is never given twice: events and signals are found by it
  `CREATE TABLE numbered (
     nr INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     flow TEXT NOT NULL,
     version INTEGER NOT NULL,
     fingerprint TEXT NOT NULL,
     status TEXT NOT NULL,
     input TEXT NOT NULL,
     source TEXT,
     owner TEXT NOT NULL,
     fence INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL,
     due INTEGER,
     waits TEXT NOT NULL DEFAULT '[]',
     crashes INTEGER NOT NULL DEFAULT 0,
     crashed_at INTEGER NOT NULL DEFAULT 0,
     parent TEXT,
     origin TEXT
   ) STRICT;
   INSERT INTO numbered SELECT nr, id, flow, version, fingerprint, status, input, source, owner, fence, created_at, updated_at,
     due, waits, crashes, crashed_at, parent, origin FROM runs;
   DROP TABLE runs;
   ALTER TABLE numbered RENAME TO runs;
   CREATE INDEX runs_by_status ON runs (status, nr);
   CREATE INDEX runs_due ON runs (due) WHERE due IS NOT NULL;
   CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;`,
  // a run that is correlated with nothing but itself has none
  `ALTER TABLE runs ADD COLUMN correlation TEXT;
   ALTER TABLE runs ADD COLUMN session TEXT;
   ALTER TABLE runs ADD COLUMN trace TEXT;
   CREATE INDEX runs_by_correlation ON runs (correlation) WHERE correlation IS NOT NULL;
   CREATE INDEX runs_by_session ON runs (session) WHERE session IS NOT NULL;`,
  `CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO counters VALUES ('state', 0);
   CREATE TABLE state (
     scope TEXT NOT NULL,
     name TEXT NOT NULL,
     value TEXT NOT NULL,
     version INTEGER NOT NULL,
     revision INTEGER NOT NULL,
     at INTEGER NOT NULL,
     until INTEGER,
     PRIMARY KEY (scope, name)
   ) STRICT;
   CREATE INDEX state_until ON state (until) WHERE until IS NOT NULL;
   CREATE TABLE sessions (
     nr INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     status TEXT NOT NULL,
     name TEXT,
     user TEXT,
     parent TEXT,
     context TEXT NOT NULL,
     policy TEXT NOT NULL,
     tags TEXT NOT NULL,
     reason TEXT,
     carried TEXT NOT NULL DEFAULT '{}',
     revision INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL,
     used_at INTEGER NOT NULL,
     ended_at INTEGER
   ) STRICT;
   CREATE INDEX sessions_by_user ON sessions (user) WHERE user IS NOT NULL;
   CREATE INDEX sessions_by_parent ON sessions (parent) WHERE parent IS NOT NULL;
   CREATE TABLE artifacts (
     nr INTEGER PRIMARY KEY AUTOINCREMENT,
     session TEXT NOT NULL,
     name TEXT NOT NULL,
     version INTEGER NOT NULL,
     hash TEXT NOT NULL,
     size INTEGER NOT NULL,
     mime TEXT NOT NULL,
     type TEXT NOT NULL,
     tags TEXT NOT NULL,
     about TEXT NOT NULL,
     "by" TEXT,
     "from" TEXT NOT NULL,
     grants TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     UNIQUE (session, name, version)
   ) STRICT;
   CREATE INDEX artifacts_by_hash ON artifacts (hash);
   CREATE TABLE blobs (
     hash TEXT PRIMARY KEY,
     upload TEXT NOT NULL UNIQUE,
     size INTEGER NOT NULL,
     stored INTEGER NOT NULL,
     encoding TEXT NOT NULL,
     chunks INTEGER NOT NULL,
     at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE chunks (upload TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (upload, n)) STRICT;
   CREATE INDEX events_with_blob ON events (substr(data, 10, 64)) WHERE data LIKE '{"blob":"%';`,
]
export const schemaVersion = migrations.length

export interface SqliteOptions {
  /** `full` (default): an acknowledged event survives power loss; `normal`: it survives the death of the process. */
  readonly synchronous?: "full" | "normal"
  /** How long to wait for another process's lock, in milliseconds; default 5000. */
  readonly busyTimeout?: number
}

/** Opens `file`, creating it if it does not exist. Never deletes or overwrites anything. */
export function openDatabase(file: string, { synchronous = "full", busyTimeout = 5000 }: SqliteOptions = {}): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { timeout: busyTimeout })
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA temp_store = memory;`)
    migrate(db)
    return db
  } catch (cause) {
    db?.close()
    throw storeFailure(file, "open", cause)
  }
}

function migrate(db: DatabaseSync): void {
  const version = () => Number(db.prepare("PRAGMA user_version").get()?.["user_version"])
  const found = version()
  if (found === schemaVersion && ownerId(db) === applicationId) return
  if (found > schemaVersion) {
    throw new Refused(`it was written by a newer Heddle (format ${found}, this one knows ${schemaVersion}). Update heddle, or use another file`)
  }
  const tables = Number(db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"])
  if (ownerId(db) !== applicationId && (found !== 0 || tables > 0)) throw new Refused("it is a database of another program. Use another file")
  // whoever opened it closes it if this fails, which takes everything back
  db.exec("BEGIN IMMEDIATE")
  for (let next = version(); next < schemaVersion; next++) db.exec(migrations[next]!)
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}; COMMIT`)
}
const ownerId = (db: DatabaseSync): number => Number(db.prepare("PRAGMA application_id").get()?.["application_id"])

class Refused extends Error {}

/** SQLite's result codes that a person can do something about. */
const remedies: Readonly<Record<number, string>> = {
  5: "it is locked by another process. Try again, or end that process",
  6: "it is locked by another process. Try again, or end that process",
  8: "it cannot be written: check the permissions of the file and its folder",
  10: "the disk reported an error. Nothing acknowledged is lost; check the disk and resume",
  11: "the file is damaged. Keep it, and restore a copy or export what can be read",
  13: "the disk is full. Free some space and resume",
  14: "it cannot be opened: check that the folder exists and may be written",
  26: "it is not a Heddle database. Use another file",
}

/** A failure of the database as a typed error that says what to do. */
export function storeFailure(file: string, operation: string, cause: unknown): StoreFailed {
  const code = typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode : 0
  const reason = remedies[code & 0xff] ?? (cause instanceof Error ? cause.message : String(cause))
  return new StoreFailed({ store: file, operation, reason, cause })
}
