/** Values of State as they are kept: checked, encoded, migrated. */
import type { StateKey } from "../../dsl/ir/state.ts"
import { StateRefused } from "../model/service-error.ts"
import type { StateEntry } from "../model/state-entry.ts"
import { decodeValue, encodeValue, Unstorable } from "../model/value.ts"

/** Largest value, in characters of JSON. */
const largest = 1024 * 1024

/** It is over: as if it were not there. */
const isOver = ({ until }: StateEntry, now: number): boolean => until !== undefined && until <= now

/** @throws StateRefused */
export function encodeState(key: StateKey, value: unknown): string {
  const checked = validated(key, value)
  try {
    const text = encodeValue(checked)
    if (text.length > largest) throw refused(key, "the value is larger than 1 MiB: keep it as an artifact")
    return text
  } catch (cause) {
    if (cause instanceof Unstorable) throw refused(key, `the value${cause.at === "" ? "" : `'s ${cause.at}`} is ${cause.reason}, which cannot be kept`)
    throw cause
  }
}

/**
 * What an entry holds, as the key's version has it; what its key says where there is none.
 *
 * @throws StateRefused
 */
export function readState(key: StateKey, entry: StateEntry | undefined, now: number): unknown {
  if (entry === undefined || isOver(entry, now)) return key.initial
  const value = decodeValue(entry.value)
  return entry.version === key.version ? value : validated(key, migrated(key, value, entry.version))
}

const refused = ({ name }: StateKey, reason: string) => new StateRefused({ name, reason })

function validated(key: StateKey, value: unknown): unknown {
  if (key.schema === undefined) return value
  const result = key.schema["~standard"].validate(value)
  if (result instanceof Promise) throw refused(key, "its schema does not answer at once: use one without asynchronous checks")
  if (result.issues === undefined) return result.value
  throw refused(key, `the value does not fit its schema: ${result.issues.map(({ message }) => message).join("; ")}`)
}

function migrated(key: StateKey, value: unknown, from: number): unknown {
  let now = value
  for (let version = from; version < key.version; version++) {
    const migration = key.migrations[version]
    if (migration === undefined) throw refused(key, `it was written as version ${version}, and there is no migration from there to ${version + 1}`)
    now = migration.up(now as never)
  }
  for (let version = from; version > key.version; version--) {
    const down = key.migrations[version - 1]?.down
    if (down === undefined) {
      throw refused(key, `it was written as version ${version} by newer code, and there is no way down to ${version - 1}: give the migration a down`)
    }
    now = down(now as never)
  }
  return now
}
