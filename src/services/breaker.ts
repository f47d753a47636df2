/** Leaves out what keeps failing: closed, open for a while, then half open for one call that decides. After Nygard, Release It! */
import * as Duration from "effect/Duration"
import type { BreakerPolicy } from "../../dsl/ir/hook.ts"

export class Breaker {
  readonly #most: number
  readonly #window: number
  readonly #rest: number
  /** When the failures of the window happened. */
  #failures: Array<number> = []
  #openUntil = 0
  #tries = false

  constructor({ failures, window, open }: BreakerPolicy) {
    this.#most = failures
    this.#window = Duration.toMillis(window)
    this.#rest = Duration.toMillis(open)
  }

  /** It may be called, whatever the time. */
  get isClosed(): boolean {
    return this.#openUntil === 0
  }

  /** May it be called now? While half open, one call may. */
  allows(now: number): boolean {
    if (now < this.#openUntil || this.#tries) return false
    this.#tries = true
    return true
  }

  /** The call that was let through has come to nothing: the next one decides. */
  givenUp(): void {
    this.#tries = false
  }

  succeeded(): void {
    if (!this.#tries) return
    this.#tries = false
    this.#openUntil = 0
    this.#failures = []
  }

  failed(now: number): void {
    this.#failures = this.#failures.filter((at) => at > now - this.#window)
    this.#failures.push(now)
    if (!this.#tries && this.#failures.length < this.#most) return
    this.#tries = false
    this.#openUntil = now + this.#rest
  }
}
