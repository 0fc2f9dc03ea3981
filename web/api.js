// Our own server, over its OpenAI API. Addresses are relative, so that a proxy may serve the page
// and the API below a path of its own.

import {SseParser} from './sse.js';

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let key = null;
try {
  key = sessionStorage.getItem('orthrus.key');
} catch { /* no storage: in memory only */
}

export const apiKey = () => key ?? '';
export function setApiKey(value) {
  key = value;
  try {
    sessionStorage.setItem('orthrus.key', value);
  } catch { /* as above */
  }
}

const headers = () => (key ? {Authorization: `Bearer ${key}`} : {});

async function failure(response) {
  let said = '';
  try {
    const text = await response.text();
    said = JSON.parse(text)?.error?.message ?? '';
  } catch { /* not JSON, a proxy's page perhaps */
  }
  const wait = response.headers.get('Retry-After');
  if (response.status === 401)
    said = `${said || 'The server asks for an API key.'} Settings has a field for it.`;
  if (response.status === 429 && wait)
    said = `${said || 'The server is busy.'} Try again in ${wait} s.`;
  return new ApiError(
      said || `The server answered ${response.status} ${response.statusText}.`, response.status);
}

export async function getJson(path) {
  const response = await fetch(path, {headers: headers(), cache: 'no-store'});
  if (!response.ok) throw await failure(response);
  return response.json();
}

// Posts a chat and gives its chunks as they come.
export async function* streamChat(body, signal) {
  let response;
  try {
    response = await fetch('v1/chat/completions', {
      method: 'POST',
      signal,
      headers: {'Content-Type': 'application/json', ...headers()},
      body: JSON.stringify({...body, stream: true, stream_options: {include_usage: true}}),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError('The server cannot be reached.');
  }
  if (!response.ok) throw await failure(response);
  const reader = response.body.getReader();
  const parser = new SseParser();
  try {
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (error) {
        if (signal.aborted) throw error;
        throw new ApiError('The connection was lost before the answer was complete.');
      }
      if (part.done) throw new ApiError('The connection ended before the answer was complete.');
      for (const {data} of parser.push(part.value)) {
        if (data === '[DONE]') return;
        let chunk;
        try {
          chunk = JSON.parse(data);
        } catch {
          throw new ApiError('The server sent something that is not JSON.');
        }
        if (chunk.error) throw new ApiError(chunk.error.message ?? 'The server failed.');
        yield chunk;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
