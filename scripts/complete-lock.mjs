// Adds the binaries of other platforms to package-lock.json: a registry mirror that lacks them leaves them out, and then `npm ci` refuses the lock.
// They are optional dependencies with a fixed version, and npm skips those of other platforms, so an entry needs no more than name, version and platform.
import { readFileSync, writeFileSync } from "node:fs"

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"))
const systems = {
  android: "android",
  darwin: "darwin",
  freebsd: "freebsd",
  linux: "linux",
  win32: "win32",
  windows: "win32",
  openharmony: "openharmony",
  openbsd: "openbsd",
  netbsd: "netbsd",
  sunos: "sunos",
  aix: "aix",
}
const processors = ["arm64", "arm", "x64", "ppc64", "riscv64", "loong64", "s390x", "ia32"]
let added = 0
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const at = `node_modules/${name}`
    const nested = `${path}/${at}`
    if (at in lock.packages || nested in lock.packages) continue
    const parts = name.split("/").at(-1).split("-")
    const os = parts.map((part) => systems[part]).find(Boolean)
    const cpu = processors.find((processor) => parts.includes(processor)) ?? (parts.includes("wasm32") ? "wasm32" : undefined)
    if (os === undefined && cpu === undefined) continue
    const libc = parts.some((part) => part.startsWith("musl")) ? "musl" : parts.some((part) => /^(gnu|glibc)/.test(part)) ? "glibc" : undefined
    lock.packages[at] = {
      version,
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
      ...(os ? { os: [os] } : {}),
      ...(cpu ? { cpu: [cpu] } : {}),
      ...(libc && os === "linux" ? { libc: [libc] } : {}),
    }
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} packages of other platforms added`)
