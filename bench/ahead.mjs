// `npm run bench:ahead`: a consumer that pauses 1.5 s: how many of 20,000 items were produced meanwhile, beside LangGraph's and Mastra's streams.
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises"
import { run, seq } from "../dist/bundle/index.js"
import { live } from "../dist/bundle/streams.js"

const total = 20_000
const figures = {}
const buffer = 64
{
  let produced = 0
  let ahead = 0
  const source = live(async function*() {
    for (; produced < total;) {
      await turn()
      yield produced++
    }
  })
  const flow = seq("ahead").stream("n", () => source, (s) =>
    s.map("slow", async (n) => {
      if (n !== 0) return n
      await sleep(1500)
      ahead = produced - 1
      return n
    }, { concurrency: 1 }).take(2).collect(), { buffer })
  ;(await run(flow))._unsafeUnwrap()
  figures[`Heddle, buffer ${buffer}`] = ahead
}
try {
  const { Annotation, END, START, StateGraph } = await import("@langchain/langgraph")
  let produced = 0
  const node = async (_state, config) => {
    for (; produced < total; produced++) {
      config.writer(produced)
      if (produced % 100 === 0) await turn()
    }
    return { n: produced }
  }
  const graph = new StateGraph(Annotation.Root({ n: Annotation })).addNode("node", node).addEdge(START, "node").addEdge("node", END).compile()
  for await (const _ of await graph.stream({ n: 0 }, { streamMode: "custom" })) {
    await sleep(1500)
    break
  }
  figures.LangGraph = produced - 1
} catch (error) {
  figures.LangGraph = String(error)
}
try {
  const { createStep, createWorkflow } = await import("@mastra/core/workflows")
  const { z } = await import("zod")
  let produced = 0
  const step = createStep({
    id: "node",
    inputSchema: z.object({ n: z.number() }),
    outputSchema: z.object({ n: z.number() }),
    execute: async ({ writer }) => {
      for (; produced < total; produced++) await writer.write({ n: produced })
      return { n: produced }
    },
  })
  const workflow = createWorkflow({ id: "w", inputSchema: z.object({ n: z.number() }), outputSchema: z.object({ n: z.number() }) }).then(step).commit()
  const started = await workflow.createRun()
  const stream = started.stream({ inputData: { n: 0 } })
  for await (const _ of stream.fullStream ?? stream) {
    await sleep(1500)
    break
  }
  figures.Mastra = produced - 1
} catch (error) {
  figures.Mastra = String(error)
}
console.log(process.argv.includes("--json") ? JSON.stringify({ total, ...figures }) : figures)
process.exit(0)
