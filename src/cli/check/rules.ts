/** What `heddle check` looks for: what is doubtful, by its rule. */
export const doubtful: Readonly<Record<string, string>> = {
  dead: "a node, a case or a loop that no run can reach",
  endless: "a loop without max, or whose condition can say nothing else however often it is asked",
  "endless-wait": "a wait without a timeout",
  blocked: "a fork that waits while another that may cause what it waits for cannot begin, or two that take each other's signals",
  late: "a wait that is longer than what it is in may take",
  unneeded: "a capability that is granted and that no tool needs",
  ungranted: "a flow that does not say what its tools may do",
  unlimited: "an each without a bound of any kind",
  unnamed: "a node without a name of its own: what is inserted before it moves its records",
  "long-chain": "more than 50 nodes in one chain",
  unused: "an exported agent or tool that no flow of the files uses",
  "ignore-without-reason": "a comment that does not say why",
  "ignore-nothing": "a comment about something that is no longer found",
}
/** What a rule is about, in a sentence. */
export const describedAs = (rule: string): string => doubtful[rule] ?? (/^TS\d+$/.test(rule) ? "what TypeScript says" : "what keeps a flow from running")
