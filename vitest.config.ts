import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"], externalConditions: ["source"] } },
  test: {
    include: ["test/**/*.test.ts", "examples/*.test.ts"],
    globalSetup: "test/temporary.ts",
    testTimeout: 20_000,
    // packages whose exports have a condition of the same name as ours, and TypeScript behind it
    server: { deps: { inline: [/@ai-sdk/, /@modelcontextprotocol/, /eventsource/] } },
    reporters: ["default", ["json", { outputFile: "coverage/results.json" }]],
    coverage: {
      provider: "v8",
      include: ["dsl/**/*.ts", "src/**/*.ts"],
      reporter: ["text", "json-summary"],
      thresholds: { statements: 100, branches: 100, functions: 100, lines: 100 },
    },
  },
})
