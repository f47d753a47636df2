/** Agents as data: what is known of one beside its flow. */
export interface AgentInfo {
  readonly name: string
  readonly description: string | undefined
  /** Names of its tools. */
  readonly tools: ReadonlyArray<string>
  /** The model it names itself, if it does. */
  readonly model: string | undefined
}
