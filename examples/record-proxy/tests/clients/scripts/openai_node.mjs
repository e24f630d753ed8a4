// Makes the calls that standard input asks for, one a line, with OpenAI's client, and prints what a program behind it sees.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// The folder with the client is where this runs.
const { OpenAI } = createRequire(`${process.cwd()}/`)("openai");
const clients = new Map();

function client({ base, retries }) {
  const key = `${base} ${retries}`;
  if (!clients.has(key)) {
    const options = { apiKey: "sk-of-a-test", baseURL: `${base}/v1`, maxRetries: retries, timeout: 30_000 };
    clients.set(key, new OpenAI(options));
  }
  return clients.get(key);
}

async function call(order, seen) {
  const { headers, body, leave_after: leaveAfter } = order;
  const completions = client(order).chat.completions;
  if (!body.stream) {
    seen.answer = await completions.create(body, { headers });
    return;
  }
  seen.events = [];
  if (leaveAfter === null) {
    const runner = completions.stream(body, { headers });
    runner.on("chunk", (chunk) => seen.events.push(structuredClone(chunk)));
    seen.answer = await runner.finalChatCompletion();
    return;
  }
  const stream = await completions.create(body, { headers });
  if (leaveAfter > 0) {
    for await (const chunk of stream) {
      seen.events.push(chunk);
      if (seen.events.length === leaveAfter) break;
    }
  }
  stream.controller.abort();
}

for await (const line of createInterface({ input: process.stdin })) {
  const seen = {};
  try {
    await call(JSON.parse(line), seen);
  } catch (error) {
    seen.error = { kind: error.constructor.name, status: error.status ?? null, text: error.message };
  }
  console.log(JSON.stringify(seen));
}
