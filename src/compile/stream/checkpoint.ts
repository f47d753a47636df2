/** How far a stream has come, recorded together with what belongs to it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StreamShape } from "../../../dsl/ir/stream.ts"
import type { RunEvent } from "../../model/event.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import { encodeValue, revive } from "../../model/value.ts"
import { dataOf } from "../../services/recorded.ts"
import { Changes } from "../../services/state-changes.ts"
import type { RunContext } from "../frame.ts"
import type { Run } from "../program.ts"
import { encodeError, stored } from "../record.ts"
import { threw } from "../settle.ts"
import type { Items } from "./op.ts"
import type { Pipe } from "./pipe.ts"
import type { Cut } from "./waves.ts"
import type { Reader } from "./reader.ts"
import type { Ending } from "./sink.ts"

/** What a checkpoint keeps. */
export interface Saved {
  /** Where the source goes on. */
  readonly at: unknown
  readonly items: number
  readonly stages: ReadonlyArray<unknown>
  readonly sink: unknown
  /** How many items each stage's work was given. */
  readonly counts: ReadonlyArray<readonly [string, number]>
  readonly rejected: number
  /** What was read of a source that cannot give it again, and has not gone through. */
  readonly pending?: Items
  /** Those since the checkpoint before: the stage, the place, the item, the error. */
  readonly rejects?: ReadonlyArray<unknown>
  /** What its sink was given since the checkpoint before, where those of all checkpoints are what it has. */
  readonly part?: Items
}
const kind = "stream.checkpointed"
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written below
const savedIn = (event: RunEvent): Saved => revive(dataOf(event).saved) as Saved

export class Progress {
  /** Behind the last chunk that went through. */
  at: unknown
  items = 0
  /** How many items each stage has been given, by its name and the groups it is in. */
  readonly counts = new Map<string, number>()
  /** What the work of its stages has changed of State since the last checkpoint. */
  changes = new Changes()
  readonly #run: RunContext
  readonly #path: string
  readonly #every: { readonly items: number; readonly time: number }
  readonly #most: number
  readonly #now: () => number
  /** Something has come out of its stages since the last checkpoint. */
  hasGiven = false
  /** What is about to go through, where its source cannot give it again. */
  pending: Items = []
  #rejected = 0
  #rejects: Array<unknown> = []
  /** When it was last recorded how far it has come, and how far that was. */
  #savedAt: number
  #savedItems = 0
  /** The checkpoint before, if nothing is in it that is of use once there is a newer one. */
  #former: number | undefined

  constructor(run: RunContext, path: string, { checkpoint, rejects }: StreamShape, now: () => number) {
    this.#run = run
    this.#path = path
    this.#every = { items: checkpoint.items, time: Duration.toMillis(checkpoint.time) }
    this.#most = rejects
    this.#now = now
    this.#savedAt = now()
  }

  /** The last checkpoint, from which it goes on. */
  recall(): Run<Saved | undefined> {
    return Effect.map(this.#run.journal.newest(this.#path, kind), (event) => (event === undefined ? undefined : this.#load(event)))
  }

  #load(event: RunEvent): Saved {
    const data = dataOf(event)
    const saved = savedIn(event)
    this.at = saved.at
    this.items = this.#savedItems = saved.items
    this.#rejected = saved.rejected
    for (const [name, count] of saved.counts) this.counts.set(name, count)
    if (saved.rejects === undefined && saved.part === undefined && data.sent === undefined && data.state === undefined) this.#former = event.seq
    return saved
  }

  /** What all checkpoints say that its sink was given. */
  parts(): Run<Items> {
    return Effect.map(this.#run.journal.progress(this.#path, kind), (events) => events.flatMap((event) => savedIn(event).part ?? []))
  }

  /** When it has to be recorded though nothing comes, in milliseconds since 1970. */
  get due(): number {
    return this.#isBehind ? this.#savedAt + this.#every.time : Number.POSITIVE_INFINITY
  }
  get isDue(): boolean {
    return this.#isBehind && (this.items - this.#savedItems >= this.#every.items || this.#now() >= this.#savedAt + this.#every.time)
  }
  /** Something has happened that is not recorded. */
  get #isBehind(): boolean {
    return this.items > this.#savedItems || this.hasGiven || this.isOwed
  }
  /** Something is to be recorded that nobody else records. */
  get isOwed(): boolean {
    return !this.changes.none || this.#rejects.length > 0
  }

  /** An item is left out, and recorded with the next checkpoint. */
  reject(stage: string, at: string, item: unknown, error: unknown): Run<void> {
    return Effect.suspend(() => {
      if (++this.#rejected > this.#most) return Effect.fail(new StreamOverflowed({ path: this.#path, what: "rejected items", most: this.#most }))
      this.#rejects.push({ stage, at, item, error: JSON.parse(encodeError(error)) as unknown })
      return Effect.void
    })
  }

  /** Writes a checkpoint, in one transaction with what its sink does there, or with what its stages have changed of State. */
  record(pipe: Pipe, sink: Ending, reader: Reader, { stages, counts }: Cut = { stages: pipe.save(), counts: this.counts }): Run<void> {
    const { changes } = this
    const { sent, part } = sink
    const rejects = this.#rejects
    const encoded = Effect.suspend(() =>
      stored(this.#path, () => {
        const saved: Saved = {
          at: this.at,
          items: this.items,
          stages,
          sink: sink.save(),
          counts: [...counts],
          rejected: this.#rejected,
          ...(this.pending.length === 0 ? {} : { pending: this.pending }),
          ...(rejects.length === 0 ? {} : { rejects }),
          ...(part.length === 0 ? {} : { part }),
        }
        return `{"count":${this.items},"saved":${encodeValue(saved)}${sent === undefined ? "" : `,"sent":${encodeValue(sent)}`}}`
      })
    )
    return Effect.flatMap(encoded, (data) => {
      // what comes while it is written belongs to the next
      if (!changes.none) this.changes = new Changes()
      this.#rejects = []
      this.hasGiven = false
      return Effect.map(this.#write(sink.within, changes, data), (seq) => {
        this.#former = changes.none && rejects.length === 0 && part.length === 0 && sent === undefined ? seq : undefined
        this.#flowed(reader, pipe)
        sink.saved()
      })
    })
  }

  #write(within: Ending["within"], changes: Changes, data: string): Run<number> {
    const { journal, offers } = this.#run
    // the newest is enough to go on
    const replaces = { replaces: this.#former }
    if (within !== undefined) {
      let failure: unknown
      const written = journal.transact(kind, this.#path, "", (sql) => {
        try {
          within(sql)
        } catch (cause) {
          failure = threw(this.#path, cause)
          throw cause
        }
        return data
      }, replaces)
      return Effect.catch(written, (error) => Effect.fail(failure ?? error))
    }
    if (changes.none) {
      const written = journal.append(kind, this.#path, "", data, this.#former === undefined ? undefined : replaces)
      const { seq } = journal
      return Effect.as(written, seq)
    }
    const committed = journal.commit(kind, this.#path, "", data, changes.writes(this.#now()), (all) => changes.said(all), replaces)
    return Effect.tap(
      Effect.catch(committed, (error) => Effect.fail(changes.failure === undefined ? error : threw(this.#path, changes.failure))),
      () => Effect.sync(offers.stateChanged),
    )
  }

  #flowed({ buffered, dropped, lag }: Reader, { late }: Pipe): void {
    const now = this.#now()
    const perSecond = Math.round((this.items - this.#savedItems) / (Math.max(1, now - this.#savedAt) / 1000))
    this.#run.journal.notice(
      "stream.flowed",
      this.#path,
      () => JSON.stringify({ items: this.items, perSecond, buffered, dropped, late, lag, rejected: this.#rejected }),
    )
    this.#savedAt = now
    this.#savedItems = this.items
  }
}
