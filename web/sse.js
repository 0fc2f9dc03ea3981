// Server-sent events, from bytes that may be cut anywhere: in a line end, in a character.

const kLongestLine = 16 * 1024 * 1024;

export class SseParser {
  #decoder = new TextDecoder();
  #pieces = [];  // of the line that is not yet whole
  #pending = 0;
  #afterReturn = false;
  #type = '';
  #data = [];

  // The events that these bytes complete: [{type, data}].
  push(bytes) { return this.#take(this.#decoder.decode(bytes, {stream: true})); }

  #take(text) {
    const events = [];
    let from = 0;
    if (this.#afterReturn && text !== '') {
      if (text[0] === '\n') from = 1;  // the second half of a \r\n
      this.#afterReturn = false;
    }
    const ends = /\r\n|\r|\n/g;
    ends.lastIndex = from;
    for (let end; (end = ends.exec(text)) !== null; from = ends.lastIndex) {
      this.#pieces.push(text.slice(from, end.index));
      this.#line(this.#pieces.join(''), events);
      this.#pieces = [];
      this.#pending = 0;
      if (end[0] === '\r' && ends.lastIndex === text.length) this.#afterReturn = true;
    }
    if (from < text.length) {
      this.#pieces.push(text.slice(from));
      this.#pending += text.length - from;
      if (this.#pending > kLongestLine) throw new Error('The server sent a line that is too long.');
    }
    return events;
  }

  #line(line, events) {
    if (line === '') {
      if (this.#data.length > 0) {
        events.push({type: this.#type || 'message', data: this.#data.join('\n')});
      }
      this.#type = '';
      this.#data = [];
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;  // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data')
      this.#data.push(value);
    else if (field === 'event')
      this.#type = value;
  }
}
