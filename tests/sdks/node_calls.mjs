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
const LISTS = ["items", "sessions", "runs", "messages", "events", "queue", "attachments"];
const MODULES = { v3: "browser-use-sdk/v3", v4: "browser-use-sdk/v4" };

const [family, baseUrl] = process.argv.slice(2);
const sdk = await import(MODULES[family] ?? "browser-use-sdk");
const Client = sdk.BrowserUseClient ?? sdk.BrowserUse; // of 2.x; of the others
const client = new Client({ apiKey: "any key", baseUrl, baseURL: baseUrl });
const outcomes = {};

const inPython = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function shown(result) {
  if (Array.isArray(result)) return result.at(-1)?.data?.status ?? `list of ${result.length}`;
  for (const name of LISTS) {
    if (Array.isArray(result?.[name])) return `list of ${result[name].length}`;
  }
  const link = result?.shareUrl || result?.downloadUrl ? "a link" : undefined;
  return result?.status ?? result?.output ?? result?.type ?? link ?? (result?.id ? "an id" : "nothing");
}

const call = (method, ...values) => callVariant(method, "", ...values);

// A variant is a further call of the same method.
async function callVariant(method, variant, ...values) {
  const [name, ...parts] = method.split(".").reverse();
  const owner = parts.reduceRight((part, each) => part[each], client);
  const key = `${inPython(method)} ${variant}`.trim();
  let result;
  try {
    result = await owner[name](...values);
    if (result?.[Symbol.asyncIterator]) {
      const entries = [];
      for await (const entry of result) entries.push(entry);
      result = entries;
    }
    outcomes[key] = shown(result);
  } catch (error) {
    outcomes[key] = String(error.statusCode ?? error.status ?? error);
  }
  return result;
}

function namesOf(part) {
  const found = new Set();
  for (let each = Object.getPrototypeOf(part); each !== Object.prototype; each = Object.getPrototypeOf(each)) {
    for (const name of Object.getOwnPropertyNames(each)) {
      if (name !== "constructor" && !name.startsWith("_")) found.add(name);
    }
  }
  return [...found];
}

function methods() {
  const found = "run" in client ? ["run"] : [];
  for (const part of RESOURCES.filter((name) => name in client)) {
    for (const name of namesOf(client[part])) found.push(inPython(`${part}.${name}`));
    if (client[part].publicShare) {
      for (const name of namesOf(client[part].publicShare)) found.push(inPython(`${part}.publicShare.${name}`));
    }
  }
  return found.sort();
}

const FAMILIES = {
  async stainless() {
    const task = await call("tasks.create", { task: WAITING });
    const session = task.sessionId;
    await call("tasks.list", { pageSize: 1 });
    await call("tasks.retrieve", task.id);
    for (const [name, ...more] of [["watch", { interval: 20 }], ["stream"]]) {
      await call(`tasks.${name}`, (await call("tasks.create", { task: DONE })).id, ...more);
    }
    for (const action of ["stop", "pause", "resume", "stop_task_and_session"]) {
      const { id } = await call("tasks.create", { task: WAITING });
      await callVariant("tasks.update", action, id, { action });
    }
    await call("tasks.getLogs", task.id);
    await call("tasks.getOutputFile", session, { task_id: task.id });
    await call("tasks.getUserUploadedFile", session, { task_id: task.id });
    await call("sessions.list", { pageSize: 1 });
    await call("sessions.retrieve", session);
    await call("sessions.update", session, { action: "stop" });
    for (const name of ["create", "retrieve", "delete"]) await call(`sessions.publicShare.${name}`, session);
    await call("sessions.delete", session);
  },

  async fern() {
    const isFirst = !("getTaskStatus" in client.tasks); // until November 2025
    const of = (name, id, fields) => (isFirst ? [id, ...(fields ? [fields] : [])] : [{ [name]: id, ...fields }]);
    const task = await call("tasks.createTask", { task: WAITING });
    const session = await call("sessions.createSession");
    await call("tasks.listTasks", { pageSize: 1 });
    await call("tasks.getTask", ...of("task_id", task.id));
    if (!isFirst) await call("tasks.getTaskStatus", ...of("task_id", task.id));
    await call("tasks.getTaskLogs", ...of("task_id", task.id));
    for (const action of ["stop", "stop_task_and_session", ...(isFirst ? ["pause", "resume"] : [])]) {
      const { id } = await call("tasks.createTask", { task: WAITING });
      await callVariant("tasks.updateTask", action, ...of("task_id", id, { action }));
    }
    await call("sessions.listSessions", { pageSize: 1 });
    await call("sessions.getSession", ...of("session_id", session.id));
    await call("sessions.updateSession", ...of("session_id", session.id, { action: "stop" }));
    for (const name of ["create", "get", "delete"]) {
      await call(`sessions.${name}SessionPublicShare`, ...of("session_id", session.id));
    }
    if (!isFirst) await call("sessions.deleteSession", ...of("session_id", session.id));
  },

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
    if ("waitForRecording" in client.sessions) {
      await call("sessions.waitForRecording", session.id, { timeout: 10, interval: 10 });
    }
    await call("sessions.stop", session.id);
    if ("files" in client.sessions) {
      await call("sessions.files", session.id);
      await call("sessions.uploadFiles", session.id, { files: [] });
    }
    await call("sessions.delete", session.id);
    const done = await call("run", DONE, QUICKLY);
    if ("messages" in client.sessions) await call("sessions.messages", done.id);
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
