/** A run as one JSON document, to be kept elsewhere or looked at on another machine. What comes in is not trusted. */
import * as Effect from "effect/Effect"
import { hashOf } from "../../dsl/ir/fingerprint.ts"
import { BundleInvalid, RunConflict, type RunNotFound, type StoreFailed } from "../model/error.ts"
import { type EventData, type EventKind, eventKinds, type RunEvent } from "../model/event.ts"
import { misfit } from "../model/event-data.ts"
import { hasEnded, isRunId, type NewRun, type RunRecord, runStatuses } from "../model/run.ts"
import type { SignalRecord } from "../model/signal.ts"
import type { Store } from "../store/store.ts"
import { digest, encoded, list, record, runId, string, untrusted, whole, Wrong } from "./untrusted.ts"

const format = "heddle-run/1"

/** The run with its events and signals as JSON text. */
export function exportRun(store: Store["Service"], id: string): Effect.Effect<string, StoreFailed | RunNotFound> {
  return Effect.gen(function*() {
    const { owner: _owner, fence: _fence, due: _due, ...run } = yield* store.runs.get(id)
    const record = { ...run, owner: "", fence: 1, due: undefined }
    const content = {
      run,
      structure: yield* store.flows.get(run.fingerprint),
      events: yield* store.events.since(record, 0),
      signals: yield* store.signals.list(record),
    }
    return JSON.stringify({ format, sha256: digest(content), ...content })
  })
}

interface Bundle {
  readonly run: Omit<RunRecord, "owner" | "fence" | "due">
  readonly structure: string | undefined
  readonly events: ReadonlyArray<RunEvent>
  readonly signals: ReadonlyArray<SignalRecord>
}
const bounds = { seq: 10_000_000 } as const

/**
 * Brings a run in, under its own id or another; gives its record. A run that had not ended is paused: nothing runs until it is resumed.
 */
export function importRun(
  store: Store["Service"],
  text: string,
  as: string | undefined,
  ties: Pick<NewRun, "session" | "parent"> = { session: undefined, parent: undefined },
): Effect.Effect<RunRecord, StoreFailed | BundleInvalid | RunConflict | RunNotFound> {
  return Effect.gen(function*() {
    const bundle = yield* parse(text)
    const { id: given, status, flow, version, fingerprint, input, source, correlation } = bundle.run
    const id = as ?? given
    if (!isRunId(id)) return yield* new BundleInvalid({ at: "run.id", reason: "not a run id" })
    const goesOn = !hasEnded(status) && status !== "failed"
    const { created } = yield* store.runs.adopt(
      {
        id,
        flow,
        version,
        fingerprint,
        input,
        source,
        owner: "",
        status: goesOn ? "paused" : status,
        due: undefined,
        origin: given,
        correlation,
        ...ties,
      },
      { events: bundle.events, signals: bundle.signals },
    )
    if (!created) return yield* new RunConflict({ run: id, differs: "exists" })
    // a structure that is known already is the one of a flow of ours
    const known = yield* store.flows.get(fingerprint)
    if (known === undefined && bundle.structure !== undefined) yield* store.flows.save(fingerprint, bundle.structure)
    return yield* store.runs.get(id)
  })
}

const parse = (text: string): Effect.Effect<Bundle, BundleInvalid> => untrusted(text, format, checked)

/** What an event may say: each part of the kind it must be, and references only to what was before. */
const told = (text: string, kind: EventKind, seq: number, at: string): string => {
  const data = record(JSON.parse(text), at)
  const wrong = misfit(kind, data)
  if (wrong !== undefined) throw new Wrong(`${at}.${wrong}`, `not what ${kind} says`)
  for (const [key, value] of Object.entries(data)) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a kind says nothing else
    if (!parts[key as keyof EventData](value, seq)) throw new Wrong(`${at}.${key}`, "not what an event says there")
  }
  // values of State stay where they are: what is said of them is not true here
  return "state" in data ? JSON.stringify({ ...data, state: undefined }) : text
}
const isRef = (value: unknown, seq: number): boolean => {
  if (value === null) return true
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 && value < seq
  if (typeof value !== "object") return false
  return "v" in value || ("r" in value && typeof value.r === "object" && value.r !== null && Object.values(value.r).every((one) => isRef(one, seq)))
}
const isRefs = (value: unknown, seq: number): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((one) => isRef(one, seq))
const isText = (value: unknown): boolean => typeof value === "string"
const isNumber = (value: unknown): boolean => typeof value === "number"
const isRecordOf = (value: unknown, is: (part: unknown) => boolean): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(is)
const isFlag = (value: unknown): boolean => typeof value === "boolean"
const isPlace = (value: unknown): boolean => typeof value === "object" && value !== null && "path" in value && isText(value.path)
const parts: { readonly [Part in keyof Required<EventData>]: (value: unknown, seq: number) => boolean } = {
  output: () => true,
  ref: isRef,
  updates: isRefs,
  chosen: isText,
  again: isFlag,
  last: isRef,
  count: isNumber,
  jump: (value) => value === "break" || value === "continue",
  attempts: isNumber,
  error: () => true,
  tag: isText,
  reason: isText,
  until: isNumber,
  received: isText,
  undo: isRefs,
  given: () => true,
  state: (value) => Array.isArray(value),
  taken: (value, seq) => Array.isArray(value) && value.every((one) => typeof one === "number" && one < seq),
  of: (value, seq) => typeof value === "number" && value < seq,
  forget: (value) => Array.isArray(value) && value.every(isPlace),
  bound: (value, seq) => Array.isArray(value) && value.every((one) => typeof one === "number" && one < seq),
  child: isText,
  cancelled: isFlag,
  undone: isFlag,
  session: () => true,
  saved: () => true,
  sent: (value) => typeof value === "object" && value !== null && "from" in value && isNumber(value.from) && "items" in value && Array.isArray(value.items),
  trace: isText,
  spent: (value) => isRecordOf(value, (meter) => isRecordOf(meter, isNumber)),
  from: (value) => isNumber(value) || isText(value),
  to: isNumber,
}
const isStructureOf = (text: string, print: string): boolean => {
  try {
    return hashOf(JSON.parse(text)) === print
  } catch {
    return false
  }
}
const kinds: ReadonlySet<string> = new Set(eventKinds)

function checked(content: Readonly<Record<string, unknown>>): Bundle {
  const given = record(content["run"], "run")
  const id = string(given["id"], "run.id")
  const run = {
    id,
    flow: string(given["flow"], "run.flow"),
    version: whole(given["version"], "run.version"),
    fingerprint: string(given["fingerprint"], "run.fingerprint"),
    status: runStatuses.find((status) => status === given["status"]),
    input: encoded(given["input"], "run.input"),
    source: given["source"] === undefined ? undefined : string(given["source"], "run.source"),
    waits: [],
    crashes: 0,
    crashedAt: 0,
    parent: undefined,
    origin: undefined,
    // older bundles have none
    correlation: given["correlation"] === undefined ? id : runId(given["correlation"], "run.correlation"),
    session: undefined,
    trace: undefined,
    createdAt: whole(given["createdAt"], "run.createdAt"),
    updatedAt: whole(given["updatedAt"], "run.updatedAt"),
  }
  if (run.status === undefined) throw new Wrong("run.status", "not a status")
  let before = 0
  const events = list(content["events"], "events").map((value, i) => {
    const at = `events[${i}]`
    const event = record(value, at)
    const seq = whole(event["seq"], `${at}.seq`)
    if (seq <= before || seq > bounds.seq) throw new Wrong(`${at}.seq`, "out of order")
    before = seq
    const kind = string(event["kind"], `${at}.kind`)
    if (!kinds.has(kind)) throw new Wrong(`${at}.kind`, `no event is called '${kind.slice(0, 40)}'`)
    return {
      seq,
      at: whole(event["at"], `${at}.at`),
      kind: kind as EventKind,
      parent: string(event["parent"], `${at}.parent`),
      name: string(event["name"], `${at}.name`),
      data: told(encoded(event["data"], `${at}.data`), kind as EventKind, seq, `${at}.data`),
    }
  })
  const signals = list(content["signals"], "signals").map((value, i): SignalRecord => {
    const at = `signals[${i}]`
    const signal = record(value, at)
    const taken = signal["taken"] === undefined ? undefined : whole(signal["taken"], `${at}.taken`)
    return {
      id: string(signal["id"], `${at}.id`),
      name: string(signal["name"], `${at}.name`),
      data: encoded(signal["data"], `${at}.data`),
      at: 0,
      taken,
      late: false,
    }
  })
  const structure = content["structure"] === undefined ? undefined : encoded(content["structure"], "structure")
  if (structure !== undefined && !isStructureOf(structure, run.fingerprint)) throw new Wrong("structure", "not the structure of the run's flow")
  return { run: { ...run, status: run.status }, structure, events, signals }
}
