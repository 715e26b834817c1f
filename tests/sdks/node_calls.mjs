// Call every method of the official TypeScript SDK that concerns tasks, sessions, runs, queue, events or messages.
//
//     node node_calls.mjs FAMILY BASE_URL
//
// It must lie in the folder into which the SDK was installed. It prints what python_calls.py prints, with the names of
// methods in Python's spelling.

const DONE = "Buy milk";
const WAITING = "Buy milk [remote:]";
const QUICKLY = { timeout: 20_000, interval: 20 }; // milliseconds
const RESOURCES = ["tasks", "sessions", "runs"];
const LISTS = ["items", "sessions", "runs", "messages", "events", "queue"];
const MODULES = { v2: "browser-use-sdk", v3: "browser-use-sdk/v3", v4: "browser-use-sdk/v4" };

const [family, baseUrl] = process.argv.slice(2);
const { BrowserUse } = await import(MODULES[family]);
const client = new BrowserUse({ apiKey: "any key", baseUrl });
const outcomes = {};

const inPython = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function shown(result) {
  if (Array.isArray(result)) return `list of ${result.length}`;
  for (const name of LISTS) {
    if (Array.isArray(result?.[name])) return `list of ${result[name].length}`;
  }
  return result?.status ?? result?.output ?? result?.type ?? (result?.id ? "an id" : "nothing");
}

async function call(method, ...values) {
  const [part, name] = method.includes(".") ? method.split(".") : [null, method];
  const owner = part ? client[part] : client;
  let result;
  try {
    result = await owner[name](...values);
    outcomes[inPython(method)] = shown(result);
  } catch (error) {
    outcomes[inPython(method)] = String(error.statusCode ?? error);
  }
  return result;
}

function methods() {
  const found = "run" in client ? ["run"] : [];
  for (const part of RESOURCES.filter((name) => name in client)) {
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(client[part]))) {
      if (name !== "constructor") found.push(inPython(`${part}.${name}`));
    }
  }
  return found.sort();
}

const FAMILIES = {
  async v2() {
    const task = await call("tasks.create", { task: DONE });
    await call("tasks.wait", task.id, QUICKLY);
    await call("tasks.get", task.id);
    await call("tasks.status", task.id);
    await call("tasks.list", { sessionId: task.sessionId });
    await call("tasks.logs", task.id);
    await call("tasks.stop", (await call("tasks.create", { task: WAITING })).id);
    await call("tasks.stopTaskAndSession", (await call("tasks.create", { task: WAITING })).id);
    await call("tasks.update", (await call("tasks.create", { task: WAITING })).id, { action: "stop" });
    const session = await call("sessions.create");
    await call("sessions.get", session.id);
    await call("sessions.list", { pageSize: 1 });
    await call("sessions.update", (await call("sessions.create")).id, { action: "stop" });
    await call("sessions.stop", session.id);
    for (const name of ["createShare", "getShare", "deleteShare", "purge", "delete"]) {
      await call(`sessions.${name}`, session.id);
    }
    await call("run", DONE, QUICKLY);
  },

  async v3() {
    const session = await call("sessions.create", { task: WAITING, keepAlive: true });
    await call("sessions.get", session.id);
    await call("sessions.list", { page_size: 1 });
    await call("sessions.waitForRecording", session.id, { timeout: 10, interval: 10 });
    await call("sessions.stop", session.id);
    await call("sessions.delete", session.id);
    const done = await call("run", DONE, QUICKLY);
    await call("sessions.messages", done.id);
  },

  async v4() {
    const run = await call("runs.create", { task: DONE });
    await call("runs.waitForCompletion", run.id, QUICKLY);
    await call("runs.get", run.id);
    await call("runs.status", run.id);
    await call("runs.list", { limit: 1 });
    await call("runs.events", run.id);
    await call("runs.waitForEvent", run.id, "run.completed", { timeout: 500, interval: 20 });
    await call("runs.attachments", run.id);
    const waiting = await call("runs.create", { task: WAITING });
    const session = waiting.sessionId;
    await call("sessions.get", session);
    await call("sessions.list", { limit: 1 });
    const message = await call("sessions.sendMessage", session, { text: "And bread" });
    await call("sessions.queue", session);
    await call("sessions.getMessage", session, message?.id ?? 1);
    await call("sessions.removeMessage", session, message?.id ?? 1);
    await call("runs.cancel", waiting.id);
    await call("sessions.purge", session);
  },
};

await FAMILIES[family]();
console.log(JSON.stringify({ methods: methods(), outcomes }));
