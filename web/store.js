// Conversations, kept in this browser's IndexedDB and nowhere else.

// A conversation: {id, title, created, updated, system, messages}. A message: {role: 'user',
// content} or {role: 'assistant', content, reasoning, tool_calls, passes, final, usage, finish,
// error}, or {role: 'tool', content, tool_call_id}.

const kDatabase = 'orthrus', kTable = 'conversations';
const kFormat = 'orthrus-conversations', kVersion = 1;
const kMostImported = 10000, kMostMessages = 10000, kLongestText = 16 * 1024 * 1024,
      kLongestTitle = 200;

const request = (asked) => new Promise((resolve, reject) => {
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});

async function openDatabase(name) {
  const asked = indexedDB.open(name, 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore(kTable, {keyPath: 'id'});
  return request(asked);
}

// Where the browser keeps nothing (private windows, full disks), in memory.
export class Store {
  #database = null;
  #memory = new Map();

  static async open(name = kDatabase) {
    const store = new Store();
    try {
      store.#database = await openDatabase(name);
    } catch {
      store.#database = null;
    }
    return store;
  }

  get lasting() { return this.#database !== null; }

  #table(mode) { return this.#database.transaction(kTable, mode).objectStore(kTable); }

  async all() {  // the latest first
    const all = this.#database ? await request(this.#table('readonly').getAll()) :
                                 [...this.#memory.values()].map((one) => structuredClone(one));
    return all.sort((a, b) => b.updated - a.updated);
  }

  async get(id) {
    return this.#database ? request(this.#table('readonly').get(id)) :
                            structuredClone(this.#memory.get(id));
  }

  async put(conversation) {
    if (this.#database)
      await request(this.#table('readwrite').put(conversation));
    else
      this.#memory.set(conversation.id, structuredClone(conversation));
  }

  async remove(id) {
    if (this.#database)
      await request(this.#table('readwrite').delete(id));
    else
      this.#memory.delete(id);
  }

  async export() {
    return JSON.stringify(
        {format: kFormat, version: kVersion, conversations: await this.all()}, null, 1);
  }

  // Adds the conversations of an exported text, under new ids where theirs are taken by others.
  // Gives how many; throws an Error that says what is wrong with the text, and adds nothing then.
  async import(text) {
    const conversations = parseExport(text);
    for (const conversation of conversations) {
      const present = await this.get(conversation.id);
      if (present && JSON.stringify(present) !== JSON.stringify(conversation))
        conversation.id = newId();
      await this.put(conversation);
    }
    return conversations.length;
  }
}

export function newId() {
  return Array
      .from(
          crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0'))
      .join('');
}

export function newConversation(system = '') {
  const now = Date.now();
  return {id: newId(), title: 'New conversation', created: now, updated: now, system, messages: []};
}

// The first words of the first message.
export function titleOf(text) {
  const line = text.trim().split('\n', 1)[0].replace(/\s+/g, ' ');
  const characters = Array.from(line.slice(0, 200));
  return characters.length > 60 ? `${characters.slice(0, 59).join('').trimEnd()}…` :
                                  line || 'New conversation';
}

export function parseExport(text) {
  let root;
  try {
    root = JSON.parse(text);
  } catch {
    throw new Error('This file is not JSON.');
  }
  if (root?.format !== kFormat)
    throw new Error(`This is no export of conversations: "format" is not "${kFormat}".`);
  if (root.version !== kVersion)
    throw new Error(`"version" is ${JSON.stringify(root.version)}; this page reads ${kVersion}.`);
  if (!Array.isArray(root.conversations)) throw new Error('"conversations" is not a list.');
  if (root.conversations.length > kMostImported)
    throw new Error(`More than ${kMostImported} conversations.`);
  return root.conversations.map((one, i) => readConversation(one, `conversations[${i}]`));
}

// Only known fields, of known types, are taken over: what is in the store can be trusted.
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

function readString(object, name, where, fallback) {
  const value = object[name] ?? fallback;
  if (typeof value !== 'string') throw new Error(`${where}.${name} is not a string.`);
  if (value.length > kLongestText) throw new Error(`${where}.${name} is too long.`);
  return value;
}

function readNumber(object, name, fallback) {
  return Number.isFinite(object[name]) && object[name] >= 0 ? object[name] : fallback;
}

function readConversation(one, where) {
  if (!isObject(one)) throw new Error(`${where} is not an object.`);
  if (!Array.isArray(one.messages)) throw new Error(`${where}.messages is not a list.`);
  if (one.messages.length > kMostMessages)
    throw new Error(`${where} has more than ${kMostMessages} messages.`);
  const id = typeof one.id === 'string' && /^[0-9a-f]{24}$/.test(one.id) ? one.id : newId();
  const created = readNumber(one, 'created', Date.now());
  return {
    id,
    title: readString(one, 'title', where, 'Imported').slice(0, kLongestTitle),
    created,
    updated: readNumber(one, 'updated', created),
    system: readString(one, 'system', where, ''),
    messages: one.messages.map((message, i) => readMessage(message, `${where}.messages[${i}]`)),
  };
}

function readMessage(one, where) {
  if (!isObject(one)) throw new Error(`${where} is not an object.`);
  const content = readString(one, 'content', where, '');
  switch (one.role) {
    case 'user':
      return {role: 'user', content};
    case 'tool':
      return {role: 'tool', content, tool_call_id: readString(one, 'tool_call_id', where, '')};
    case 'assistant':
      return {
        role: 'assistant',
        content,
        reasoning: readString(one, 'reasoning', where, ''),
        tool_calls:
            readList(one.tool_calls).map((call, i) => readCall(call, `${where}.tool_calls[${i}]`)),
        passes: readList(one.passes).map(readPass),
        final: isObject(one.final) ? readFinal(one.final) : null,
        usage: isObject(one.usage) ? {
          prompt_tokens: readNumber(one.usage, 'prompt_tokens', 0),
          completion_tokens: readNumber(one.usage, 'completion_tokens', 0),
          cached_tokens: readNumber(one.usage, 'cached_tokens', 0)
        } :
                                     null,
        finish: typeof one.finish === 'string' ? one.finish.slice(0, 40) : null,
        error: typeof one.error === 'string' ? one.error.slice(0, 2000) : null,
      };
    default:
      throw new Error(
          `${where}.role is ${JSON.stringify(one.role)}; it can be user, assistant or tool.`);
  }
}

const readList = (value) => (Array.isArray(value) ? value : []);

function readCall(call, where) {
  if (!isObject(call)) throw new Error(`${where} is not an object.`);
  return {
    id: readString(call, 'id', where, ''),
    name: readString(call, 'name', where, ''),
    arguments: readString(call, 'arguments', where, '')
  };
}

function readPass(pass) {
  const at = (name) => Math.floor(readNumber(isObject(pass) ? pass : {}, name, 0));
  return {
    tokens: at('tokens'),
    drafted: at('drafted'),
    accepted: at('accepted'),
    content: at('content'),
    reasoning: at('reasoning'),
    ms: readNumber(isObject(pass) ? pass : {}, 'ms', null)
  };
}

function readFinal(final) {
  return {
    plain_step_seconds: readNumber(final, 'plain_step_seconds', null),
    tokens_per_forward: readNumber(final, 'tokens_per_forward', null),
    acceptance_length: readNumber(final, 'acceptance_length', null)
  };
}
