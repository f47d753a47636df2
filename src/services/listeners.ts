/** Telling what happens, while it happens. A listener cannot change a run, and one that throws does not stop it. */
import type { Notice } from "./notice.ts"

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
        const told: unknown = listener(notice)
        if (told instanceof Promise) told.catch(complain)
      } catch (error) {
        complain(error)
      }
    }
  }
}

const complain = (error: unknown): void => queueMicrotask(() => console.error("a Heddle listener threw", error))
