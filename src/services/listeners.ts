/** Telling what happens, while it happens. A listener cannot change a run, and one that throws does not stop it. */
import type { EventKind, LiveKind } from "../model/event.ts"

/** One thing that happened, as told to listeners. */
export interface Notice {
  readonly run: string
  readonly flow: string
  readonly kind: EventKind | LiveKind
  readonly path: string
  /** The event's number, if it is kept. */
  readonly seq: number | undefined
  /** The event's data as JSON, if it is kept. */
  readonly data: string | undefined
}
export type Listener = (notice: Notice) => void

export class Listeners {
  /** Another list whenever it changes. */
  #listeners: ReadonlyArray<Listener> = []

  /** Nothing is made or told while nobody listens. */
  get none(): boolean {
    return this.#listeners.length === 0
  }

  /** Adds a listener; gives the function that removes it. */
  add(listener: Listener): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => void (this.#listeners = this.#listeners.filter((one) => one !== listener))
  }

  tell(notice: Notice): void {
    for (const listener of this.#listeners) {
      try {
        listener(notice)
      } catch (error) {
        queueMicrotask(() => console.error("a Heddle listener threw", error))
      }
    }
  }
}
