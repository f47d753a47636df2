/** Following runs from outside: what is kept, without gaps and from any number on; and what happens here, as long as one can keep up. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { RunNotFound, type StoreFailed } from "../model/error.ts"
import { type EventPattern, isOneOf } from "../model/event.ts"
import { hasStopped, type RunRecord } from "../model/run.ts"
import type { Listener } from "../services/listeners.ts"
import { type Notice, noticeOf } from "../services/notice.ts"
import type { Emitted } from "./items.ts"
import type { Conductor } from "./conduct.ts"

export interface FollowOptions {
  /** Only events with higher numbers; default 0. Those of children always come from their beginning. */
  readonly after?: number | undefined
  /** Also the events of the runs that it starts as its children, and theirs; default false. Each run's own stay in order. */
  readonly children?: boolean | undefined
  /** Only these kinds; default all. */
  readonly kinds?: ReadonlyArray<EventPattern> | undefined
  /** Wait for events to come; default true. Otherwise it ends with what is there. */
  readonly live?: boolean | undefined
}
export interface SubscribeOptions {
  /** Only these kinds; default all, also those that are not kept. */
  readonly kinds?: ReadonlyArray<EventPattern> | undefined
  readonly run?: string | undefined
  readonly flow?: string | undefined
  readonly correlation?: string | undefined
  readonly session?: string | undefined
  /** Most notices that wait for a slow reader, default 256, at least 1; then the oldest are dropped. */
  readonly buffer?: number | undefined
}
/** A notice for a reader that may be slow. */
export interface Told extends Notice {
  /** How many were dropped right before this one, because the reader was slow. */
  readonly missed: number
}

/** Most events that are read at once. */
const batch = 256

/**
 * The kept events of a run, those that are there and those to come, until it has stopped. The journal is the buffer: a reader that
 * sleeps misses nothing and costs nothing, and one that comes back goes on `after` the last number it saw.
 */
export function follow(conductor: Conductor, id: string, options: FollowOptions = {}): Stream.Stream<Notice, StoreFailed | RunNotFound> {
  const { after = 0, children = false, kinds = ["*"], live = true } = options
  const { store, listeners } = conductor.keeping
  /** The number of the last event that was told of each run. */
  const told = new Map([[id, after]])
  let created: number | undefined
  /** What is new in `run`, and whether that is all. */
  const news = (run: RunRecord): Effect.Effect<{ readonly notices: ReadonlyArray<Notice>; readonly more: boolean }, StoreFailed> =>
    Effect.map(store.events.since(run, told.get(run.id) ?? 0, batch), (events) => {
      const last = events.at(-1)
      if (last !== undefined) told.set(run.id, last.seq)
      return { notices: events.filter(({ kind }) => isOneOf(kind, kinds)).map((event) => noticeOf(run, event)), more: events.length === batch }
    })
  const family = (run: RunRecord): Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed> =>
    children ?
      Effect.map(
        Effect.flatMap(store.runs.list({ parent: run.id, limit: Number.MAX_SAFE_INTEGER }), Effect.forEach(family)),
        (found) => [run, ...found.flat()],
      ) :
      Effect.succeed([run])
  const next = Effect.gen(function*() {
    const { rung } = conductor.live
    // its status first: what it has written until then is seen
    const root = yield* store.runs.get(id)
    // it was deleted, and its id given to another
    if (root.createdAt !== (created ??= root.createdAt)) return yield* new RunNotFound({ run: id })
    const found = yield* Effect.forEach(yield* family(root), news)
    const notices = byTime(found.map((one) => one.notices))
    const more = found.some((one) => one.more)
    const over = !more && (!live || hasStopped(root.status))
    if (notices.length === 0 && !more && !over) yield* conductor.live.sleep({ ...root, due: undefined }, 0, rung)
    return [notices, over ? Option.none() : Option.some(undefined)] as const
  })
  return Stream.unwrap(Effect.map(
    Effect.acquireRelease(
      // what is written here rings; what another process writes is seen by the bell of its own
      Effect.sync(() => listeners.add(({ seq, run }) => seq !== undefined && (children || run === id) && conductor.live.ring(id))),
      (stop) => Effect.sync(stop),
    ),
    () => Stream.paginate(undefined, () => next),
  ))
}

/** Several runs' notices as they happened; each run's own stay in their order, whatever its clock did. */
const byTime = (runs: ReadonlyArray<ReadonlyArray<Notice>>): ReadonlyArray<Notice> =>
  runs.flatMap((notices) => {
    let latest = 0
    return notices.map((notice) => ({ notice, at: latest = Math.max(latest, notice.at) }))
  }).sort((a, b) => a.at - b.at).map(({ notice }) => notice)

/** What is heard from now on, for a reader that may be slow, until it is stopped. */
export interface Subscription {
  readonly notices: Stream.Stream<Told>
  readonly stop: () => void
}

/** Listens from now on. A reader that is too slow misses the oldest and is told how many; no run waits for it. */
export function subscription(listen: (listener: Listener) => () => void, options: SubscribeOptions = {}): Subscription {
  const { kinds = ["*"], run, flow, correlation, session, buffer = 256 } = options
  const wants = (notice: Notice): boolean =>
    isOneOf(notice.kind, kinds) && (run === undefined || notice.run === run) && (flow === undefined || notice.flow === flow) &&
    (correlation === undefined || notice.correlation === correlation) && (session === undefined || notice.session === session)
  const queue = Effect.runSync(Queue.sliding<{ readonly notice: Notice; readonly nr: number }>(Math.max(1, buffer)))
  let [offered, seen] = [0, 0]
  const stop = listen((notice) => void (wants(notice) && Queue.offerUnsafe(queue, { notice, nr: ++offered })))
  const notices = Stream.map(Stream.fromQueue(queue), ({ notice, nr }): Told => {
    const missed = nr - seen - 1
    seen = nr
    return { ...notice, missed }
  })
  return { notices, stop }
}

/** What happens in this process from when it is read on. */
export const subscribe = ({ keeping: { listeners } }: Conductor, options?: SubscribeOptions): Stream.Stream<Told> =>
  Stream.unwrap(Effect.map(
    Effect.acquireRelease(Effect.sync(() => subscription((listener) => listeners.add(listener), options)), ({ stop }) => Effect.sync(stop)),
    ({ notices }) => notices,
  ))

/** A notice, or an item of a run, as a message of a server-sent event stream; its id is what `Last-Event-ID` brings back, for `after` or `from`. */
export const serverSentEvent = (told: Notice | Emitted): string => {
  const [id, kind] = "kind" in told ? [told.id, told.kind] : [String(told.index), "item"]
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${kind}\ndata: ${JSON.stringify(told)}\n\n`
}
