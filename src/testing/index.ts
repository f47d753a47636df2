/**
 * Test your own flows, and your own store.
 *
 * @module heddle/testing
 */
export { jumpingClock } from "./clock.ts"
export type { StoreCheck } from "./conformance/runs.ts"
export { storeConformance } from "./conformance/store.ts"
export { crashEverywhere, crashPoints, mortalStore } from "./crash.ts"
export type { CrashOptions, CrashPoint, CrashReport, Fate } from "./crash.ts"
export { recordFixture } from "./fixture.ts"
export type { Fixture } from "./fixture.ts"
export { differences, testFlow, told } from "./harness.ts"
export type { HookEffect, SentSignal, SignalOf, Tested, TestOptions } from "./harness.ts"
export { inputs } from "./inputs.ts"
export { matchers } from "./matchers.ts"
export type { HeddleMatchers } from "./matchers.ts"
export { chaotic, faulty, mocked, UnknownPath } from "./mock.ts"
export type { Chaos, Fault, Mock, Mocks } from "./mock.ts"
export { replayFixture, replayRun, replaySession } from "./replay.ts"
export type { Replayed, ReplayedStep, ReplayOptions, Stop } from "./replay.ts"
