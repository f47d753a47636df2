/** What is asked of the tables of runs, events and signals. */
import type { Statement } from "./statement.ts"

const listing = (which: string): string =>
  `SELECT * FROM runs WHERE ${which} AND (?1 IS NULL OR flow = ?1) AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR updated_at < ?3)
   AND (?4 IS NULL OR session = ?4) AND (?5 IS NULL OR coalesce(correlation, id) = ?5) AND (?6 = 0 OR parent IS NULL) AND created_at >= ?7
   ORDER BY nr DESC LIMIT ?8`
/** Each is prepared once. */
export const runStatements = (sql: (text: string) => Statement) => ({
  create: sql(
    `INSERT INTO runs (id, flow, version, fingerprint, status, input, source, owner, fence, due, parent, origin, correlation, session, trace, created_at, updated_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15) ON CONFLICT (id) DO NOTHING`,
  ),
  get: sql("SELECT * FROM runs WHERE id = ?"),
  // one statement for each index: SQLite chooses it when it prepares
  list: sql(listing("1")),
  listOfParent: sql(listing("parent = ?9")),
  listOfSession: sql(listing("session = ?9")),
  listOfCorrelation: sql(listing("nr IN (SELECT nr FROM runs WHERE correlation = ?9 UNION SELECT nr FROM runs WHERE id = ?9 AND correlation IS NULL)")),
  claim: sql(
    `UPDATE runs SET owner = ?1, fence = fence + 1, due = CASE WHEN ?3 IN ('running', 'compensating') THEN ?2 ELSE due END, status = ?3, waits = '[]',
     crashes = coalesce(?4, crashes), crashed_at = coalesce(?5, crashed_at), updated_at = ?6 WHERE id = ?7 AND fence = ?8 AND status = ?9 RETURNING *`,
  ),
  release: sql(
    `UPDATE runs SET owner = '', due = ?1, status = CASE status WHEN 'running' THEN 'pending' ELSE status END, updated_at = ?2
     WHERE id = ?3 AND fence = ?4 AND due IS NOT NULL`,
  ),
  renew: sql(
    "UPDATE runs SET due = ?1 WHERE owner = ?2 AND status IN ('running', 'compensating') AND id IN (SELECT value FROM json_each(?3))",
  ),
  due: sql("SELECT * FROM runs WHERE due <= ?1 AND flow IN (SELECT value FROM json_each(?2)) ORDER BY due LIMIT ?3"),
  dueWithout: sql(
    `SELECT * FROM runs WHERE due <= ?1 AND flow IN (SELECT value FROM json_each(?2)) AND (parent IS NOT NULL OR
       flow NOT IN (SELECT value FROM json_each(?4)) AND coalesce(session, '') NOT IN (SELECT value FROM json_each(?5)) AND
       coalesce(correlation, id) NOT IN (SELECT value FROM json_each(?6)))
     ORDER BY due LIMIT ?3`,
  ),
  driven: sql("SELECT * FROM runs WHERE status IN ('running', 'compensating') AND due > ? AND owner <> '' AND parent IS NULL"),
  nextDue: sql("SELECT due FROM runs WHERE due IS NOT NULL AND flow IN (SELECT value FROM json_each(?1)) ORDER BY due LIMIT 1"),
  look: sql("SELECT * FROM runs WHERE id IN (SELECT value FROM json_each(?1))"),
  nudge: sql("UPDATE runs SET due = min(coalesce(due, ?1), ?1) WHERE id = ?2 AND status = 'suspended'"),
  dataVersion: sql("PRAGMA data_version"),
  adoptEvent: sql("INSERT INTO events (id, run, at, kind, parent, name, data) VALUES (?, ?, ?, ?, ?, ?, ?)"),
  adoptSignal: sql("INSERT INTO signals (run, id, name, data, at, taken, late) VALUES (?, ?, ?, ?, ?, ?, ?)"),
  removeRun: sql("DELETE FROM runs WHERE nr = ?"),
  removeEvents: sql("DELETE FROM events WHERE id >= ? AND id < ?"),
  removeState: sql("DELETE FROM state WHERE scope = ?"),
  removeSignals: sql("DELETE FROM signals WHERE run = ?"),
  removeEvent: sql("DELETE FROM events WHERE id = ?"),
  under: sql("SELECT * FROM events WHERE run = ? AND parent = ? ORDER BY id"),
  last: sql("SELECT * FROM events WHERE run = ? AND parent = ? AND kind = ? ORDER BY id DESC LIMIT 1"),
  at: sql("SELECT * FROM events WHERE id = ?"),
  since: sql("SELECT * FROM events WHERE id > ? AND id < ? ORDER BY id LIMIT ?"),
  head: sql("SELECT max(id) AS id FROM events WHERE id >= ? AND id < ?"),
  sent: sql("SELECT count(*) AS n FROM signals WHERE run = ? AND id = ?"),
  pending: sql("SELECT count(*) AS n FROM signals WHERE run = ? AND taken IS NULL AND late = 0"),
  send: sql("INSERT INTO signals (run, id, name, data, at, late) VALUES (?, ?, ?, ?, ?, ?)"),
  wake: sql(
    `WITH RECURSIVE up (id) AS (SELECT parent FROM runs WHERE nr = ?1 UNION SELECT runs.parent FROM runs JOIN up ON runs.id = up.id)
     UPDATE runs SET due = min(coalesce(due, ?2), ?2) WHERE status = 'suspended' AND
       (id IN (SELECT id FROM up) OR (nr = ?1 AND EXISTS (SELECT 1 FROM json_each(waits) WHERE value = ?3)))`,
  ),
  waiting: sql("SELECT * FROM signals WHERE run = ? AND name = ? AND taken IS NULL AND late = 0 ORDER BY nr"),
  signals: sql("SELECT * FROM signals WHERE run = ? ORDER BY nr"),
  saveFlow: sql("INSERT INTO flows (fingerprint, encoded) VALUES (?, ?) ON CONFLICT DO NOTHING"),
  getFlow: sql("SELECT encoded FROM flows WHERE fingerprint = ?"),
})
