// The page's address stores the settings, so that a link shows the same pictures.

/** Controls {name in the address: {read, write, initial}}; the address holds those that differ from their initial value. */
export class Address {
  constructor(controls) {
    this.controls = controls;
    const query = new URLSearchParams(location.search);
    for (const [name, { write }] of Object.entries(controls)) {
      if (query.has(name)) write(typeof controls[name].initial === "number" ? +query.get(name) : query.get(name));
    }
  }

  keep() {
    const query = new URLSearchParams(location.search);
    for (const [name, { read, initial }] of Object.entries(this.controls)) {
      const value = read();
      if (Object.is(value, initial)) query.delete(name);
      else query.set(name, typeof value === "number" ? String(Number.isInteger(value) ? value : +value.toPrecision(6)) : value);
    }
    const text = query.toString();
    if (text === location.search.slice(1)) return;
    try {
      history.replaceState(null, "", text ? `?${text}` : location.pathname);
    } catch {
      clearTimeout(this.later); // some browsers refuse more than a hundred changes in half a minute
      this.later = setTimeout(() => this.keep(), 1000);
    }
  }
}
