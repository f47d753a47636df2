/** How the items of a stream travel: how many make up a chunk, and how many are on their way at once. */
import type { StepNode, StreamNode } from "../../../dsl/ir/node.ts"
import { innerStages, type Stage } from "../../../dsl/ir/stream.ts"

export interface Course {
  /** Most items of one chunk: how far the stream has come is recorded between two of them. */
  readonly size: number
  /** Most items on their way at once; 0: one chunk after the other. */
  readonly most: number
}

const paces = (stage: Stage): boolean => stage.op === "throttle" || innerStages(stage).some(paces)

/** `keeps`: what is read is recorded before it goes through, one chunk after the other. */
export function courseOf({ stages, buffer, checkpoint, sink }: StreamNode, stepOf: (stage: string) => StepNode, keeps: boolean): Course {
  const whole = Math.min(buffer, checkpoint.items)
  const works = stages.flatMap((stage) => (stage.op === "work" ? [stage] : []))
  const workers = works.reduce((sum, { concurrency }) => sum + concurrency, 0)
  // each of those may wait for days, and has its own record
  if (keeps || works.some(({ name }) => stepOf(name).work.from === "flow")) return { size: whole, most: 0 }
  const most = workers < 2 ? 0 : Math.min(buffer, Math.max(whole, 4 * workers))
  // each item goes on when its time has come
  if (stages.some(paces)) return { size: 1, most }
  if (workers === 0) return { size: whole, most }
  // what is done is given on and recorded soon, however long the work takes
  const soon = sink.to === "emit" ? workers : 16 * workers
  return { size: Math.min(soon, most === 0 ? whole : Math.ceil(whole / 2)), most }
}
