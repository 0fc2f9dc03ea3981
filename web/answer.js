// An assistant's message, as it grows from a stream's chunks.

export function newAnswer() {
  return {
    role: 'assistant',
    content: '',
    reasoning: '',
    tool_calls: [],
    passes: [],
    final: null,
    usage: null,
    finish: null,
    error: null
  };
}

// Chunks of one answer, put together into `message`. `now` is in milliseconds.
export class AnswerReader {
  #message;
  #latest = null;

  constructor(message) { this.#message = message; }

  put(chunk, now) {
    const message = this.#message;
    if (chunk.usage) {
      message.usage = {
        prompt_tokens: chunk.usage.prompt_tokens ?? 0,
        completion_tokens: chunk.usage.completion_tokens ?? 0,
        cached_tokens: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0
      };
    }
    const choice = chunk.choices?.[0];
    const delta = choice?.delta ?? {};
    const content = typeof delta.content === 'string' ? delta.content : '';
    const thought = delta.reasoning_content ?? delta.reasoning;
    const reasoning = typeof thought === 'string' ? thought : '';
    message.content += content;
    message.reasoning += reasoning;
    for (const call of delta.tool_calls ?? []) this.#putCall(call);
    if (choice?.finish_reason) message.finish = choice.finish_reason;
    if (chunk.orthrus)
      this.#putPass(chunk.orthrus, content.length, reasoning.length, now);
    else if (message.passes.length > 0) {
      message.passes.at(-1).content += content.length;  // text that was held back
      message.passes.at(-1).reasoning += reasoning.length;
    }
  }

  #putPass(given, content, reasoning, now) {
    const {passes} = this.#message;
    if (Number.isInteger(given.tokens)) {
      passes.push({
        tokens: given.tokens,
        drafted: given.drafted ?? 0,
        accepted: given.accepted ?? 0,
        ms: this.#latest === null ? null : now - this.#latest,
        content,
        reasoning
      });
      this.#latest = now;
    } else if (passes.length > 0) {
      passes.at(-1).content += content;
      passes.at(-1).reasoning += reasoning;
    }
    const final = {
      plain_step_seconds: given.plain_step_seconds ?? null,
      tokens_per_forward: given.tokens_per_forward ?? null,
      acceptance_length: given.acceptance_length ?? null
    };
    if (Object.values(final).some((value) => value !== null)) this.#message.final = final;
  }

  #putCall({index = 0, id, function: called = {}}) {
    const calls = this.#message.tool_calls;
    if (!Number.isInteger(index) || index < 0 || index > 1000) return;
    while (calls.length <= index) calls.push({id: '', name: '', arguments: ''});
    if (id) calls[index].id = id;
    if (called.name) calls[index].name += called.name;
    if (called.arguments) calls[index].arguments += called.arguments;
  }
}

// The conversation as the API takes it, up to message `end`.
export function requestMessages(conversation, end = conversation.messages.length) {
  const messages =
      conversation.system.trim() ? [{role: 'system', content: conversation.system}] : [];
  for (const message of conversation.messages.slice(0, end)) {
    if (message.role === 'user')
      messages.push({role: 'user', content: message.content});
    else if (message.role === 'tool') {
      messages.push({role: 'tool', content: message.content, tool_call_id: message.tool_call_id});
    } else {
      const one = {role: 'assistant', content: message.content};
      if (message.tool_calls.length > 0) {
        one.tool_calls =
            message.tool_calls.map((call) => ({
                                     id: call.id,
                                     type: 'function',
                                     function: {name: call.name, arguments: call.arguments}
                                   }));
      }
      messages.push(one);
    }
  }
  return messages;
}
