// The page: what is drawn, and what hands and keys do.

function showMap(about, map) {
  const { rows, columns, cells, cellDeg, worldColumns } = about;
  const { numberOf, pixelOf, turned, placeAt, gridId, cellName, degrees } = map;
  const element = (id) => document.getElementById(id);
  const canvas = element('map');
  const picture = element('picture');
  const context = canvas.getContext('2d');
  const layer = document.createElement('canvas');
  const state = { show: 'colours', selected: null, similarity: null, places: [], cursor: null };
  // The upper left corner in cells, and pixels per cell: now, and when all of the map is shown.
  const view = { x: 0, y: 0, zoom: 1, least: 1 };

  function paint(similarity) {
    const table = bytesOf(about.colourMap);
    const high = 1;
    const low = Math.min(map.percentile(similarity, about.lowPercentile), high - 1e-3);
    const image = new ImageData(columns, rows);
    for (let cell = 0; cell < cells; cell++) {
      const share = (similarity[cell] - low) / (high - low);
      const shade = 3 * Math.max(0, Math.min(255, Math.floor(share * 256)));
      const to = 4 * pixelOf[cell];
      for (let part = 0; part < 3; part++) image.data[to + part] = table[shade + part];
      image.data[to + 3] = 255;
    }
    layer.width = columns;
    layer.height = rows;
    layer.getContext('2d').putImageData(image, 0, 0);
    element('low').textContent = `≤ ${low.toFixed(3)}`;
    element('high').textContent = high.toFixed(3);
  }

  function say(text) {
    element('status').textContent = text;
  }

  function select(pixel) {
    if (pixel < 0) {
      say('This place is not on the map.');
      return;
    }
    const place = placeAt(pixel);
    if (numberOf[pixel] < 0) {
      const nearest = map.nearestWithData(place);
      say(`${degrees(place)} has no data. The nearest cell that has is ${degrees(nearest)}, `
        + `${Math.round(nearest.away)} km away.`);
      return;
    }
    state.selected = place;
    state.cursor = { row: place.row, column: place.column };
    state.similarity = map.compared(numberOf[pixel]);
    state.places = map.mostLike(place, state.similarity);
    paint(state.similarity);
    element('lon').value = place.lon;
    element('lat').value = place.lat;
    element('place').textContent = degrees(place);
    list();
    element('result').hidden = false;
    element('show-similarity').disabled = false;
    say(`Compared ${cells.toLocaleString('en')} cells with ${cellName(place)}.`);
    show('similarity');
    history.replaceState(null, '', `#select=${place.lon},${place.lat}`);
  }

  function list() {
    element('places').replaceChildren(...state.places.map((place) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      const where = document.createElement('span');
      const value = document.createElement('span');
      item.dataset.gridId = gridId(place);
      item.dataset.similarity = place.similarity;
      button.type = 'button';
      button.title = `${Math.round(place.away).toLocaleString('en')} km away; compare with this place`;
      where.textContent = degrees(place);
      value.textContent = place.similarity.toFixed(3);
      button.append(where, value);
      button.addEventListener('click', () => select(place.pixel));
      item.append(button);
      return item;
    }));
  }

  function clear() {
    state.selected = null;
    state.similarity = null;
    state.places = [];
    element('result').hidden = true;
    element('show-similarity').disabled = true;
    say('Choose a place.');
    show('colours');
    history.replaceState(null, '', '#');
  }

  function show(what) {
    state.show = what;
    element('show-colours').setAttribute('aria-pressed', String(what === 'colours'));
    element('show-similarity').setAttribute('aria-pressed', String(what === 'similarity'));
    element('legend-similarity').hidden = what !== 'similarity';
    element('legend-colours').hidden = what !== 'colours';
    draw();
  }

  // Drawing. A cell is `zoom` pixels wide and `zoom * aspect` high; (x, y) is the upper left corner in cells.

  const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
  const tall = () => view.zoom * about.aspect;

  let fitted = 0;

  function fit() {
    const box = canvas.clientWidth;
    fitted = box;
    const most = Math.max(240, window.innerHeight * 0.72);
    canvas.style.height = `${Math.round(Math.min(most, Math.max(180, (box * rows * about.aspect) / columns)))}px`;
    const { width: wide, height } = size();
    const before = view.least;
    view.least = Math.min(wide / columns, height / (rows * about.aspect));
    view.zoom = before === view.zoom ? view.least : Math.max(view.zoom, view.least);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    keepInside();
    draw();
  }

  function keepInside() {
    const { width: wide, height } = size();
    const inside = (value, shown, all) => (shown >= all ? (all - shown) / 2 : Math.max(0, Math.min(value, all - shown)));
    view.x = inside(view.x, wide / view.zoom, columns);
    view.y = inside(view.y, height / tall(), rows);
  }

  function zoomBy(factor, x = size().width / 2, y = size().height / 2) {
    const column = view.x + x / view.zoom;
    const row = view.y + y / tall();
    view.zoom = Math.max(view.least, Math.min(view.zoom * factor, Math.max(48, view.least)));
    view.x = column - x / view.zoom;
    view.y = row - y / tall();
    keepInside();
    draw();
  }

  function whole() {
    view.zoom = view.least;
    keepInside();
    draw();
  }

  const onCanvas = (row, column) => [(column + 0.5 - view.x) * view.zoom, (row + 0.5 - view.y) * tall()];

  function draw() {
    const { width: wide, height } = size();
    context.clearRect(0, 0, wide, height);
    const box = [-view.x * view.zoom, -view.y * tall(), columns * view.zoom, rows * tall()];
    context.fillStyle = about.noData;
    context.fillRect(...box);
    context.imageSmoothingEnabled = view.zoom * (window.devicePixelRatio || 1) < 1;
    context.imageSmoothingQuality = 'high';
    context.drawImage(state.show === 'similarity' ? layer : picture, ...box);
    drawDegrees(wide, height);
    state.places.forEach((place, position) => drawPlace(place, String(position + 1)));
    if (state.selected) drawPlace(state.selected, '+');
    if (state.cursor && document.activeElement === canvas) drawCursor();
  }

  function drawDegrees(wide, height) {
    const step = [0.25, 0.5, 1, 2, 5, 10, 15, 30, 60].find((value) => (value / cellDeg) * view.zoom >= 70) || 90;
    context.lineWidth = 1;
    context.strokeStyle = 'rgb(0 0 0 / 14%)';
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    const lines = (first, last, draws) => {
      for (let at = Math.ceil(first / step) * step; at <= last; at += step) draws(at);
    };
    const west = about.west - cellDeg / 2;
    const north = about.north + cellDeg / 2;
    context.beginPath();
    lines(west, west + columns * cellDeg, (lon) => {
      const x = Math.round(((lon - west) / cellDeg - view.x) * view.zoom) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, height);
      if (x > 24 && x < wide - 24) label(degreeText(turned(lon), 'E', 'W'), x, height - 6, 'center');
    });
    lines(north - rows * cellDeg, north, (lat) => {
      const y = Math.round(((north - lat) / cellDeg - view.y) * tall()) + 0.5;
      context.moveTo(0, y);
      context.lineTo(wide, y);
      if (y > 12 && y < height - 24) label(degreeText(lat, 'N', 'S'), 5, y + 4, 'left');
    });
    context.stroke();
  }

  function degreeText(value, plus, minus) {
    if (value === 0 || value === -180) return `${Math.abs(value)}°`;
    return `${Math.abs(value)}°${value > 0 ? plus : minus}`;
  }

  function label(text, x, y, align) {
    context.textAlign = align;
    context.lineJoin = 'round';
    context.save();
    context.strokeStyle = 'rgb(255 255 255 / 80%)';
    context.lineWidth = 3;
    context.strokeText(text, x, y);
    context.fillStyle = '#2a3138';
    context.fillText(text, x, y);
    context.restore();
  }

  function drawPlace(place, text) {
    const [x, y] = onCanvas(place.row, place.column);
    context.beginPath();
    context.arc(x, y, text === '+' ? 10 : 9, 0, 2 * Math.PI);
    context.fillStyle = text === '+' ? '#d7263d' : '#ffffff';
    context.strokeStyle = text === '+' ? '#ffffff' : '#1d2329';
    context.lineWidth = text === '+' ? 2 : 1.2;
    context.fill();
    context.stroke();
    context.fillStyle = text === '+' ? '#ffffff' : '#1d2329';
    context.textAlign = 'center';
    context.font = 'bold 11px system-ui, "DejaVu Sans", sans-serif';
    context.fillText(text, x, y + 4);
  }

  function drawCursor() {
    const [x, y] = onCanvas(state.cursor.row, state.cursor.column);
    const side = Math.max(view.zoom, 12);
    for (const [colour, line] of [['#ffffff', 4], ['#1d2329', 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    }
  }

  // What is said of a cell.

  function tell(row, column) {
    if (row < 0 || row >= rows || column < 0 || column >= columns) {
      element('readout').textContent = '\u00a0';
      return;
    }
    const place = placeAt(row * columns + column);
    const number = numberOf[place.pixel];
    let text = `${degrees(place)} · cell ${cellName(place)}`;
    if (number < 0) text += ' · no data';
    else if (state.similarity) text += ` · ${state.similarity[number].toFixed(3)}`;
    element('readout').textContent = text;
  }

  function cellUnder(event) {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - canvas.clientLeft;
    const y = event.clientY - box.top - canvas.clientTop;
    return { x, y, row: Math.floor(view.y + y / tall()), column: Math.floor(view.x + x / view.zoom) };
  }

  // Hands: one finger or button moves, two zoom, and what has not moved is a click.

  const pointers = new Map();
  let moved = 0;
  let spread = 0;

  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.size === 1) moved = 0;
    spread = 0;
  });

  canvas.addEventListener('pointermove', (event) => {
    const under = cellUnder(event);
    tell(under.row, under.column);
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (spread) zoomBy(now / spread, under.x, under.y);
      spread = now;
    } else if (moved > 4) {
      view.x -= dx / view.zoom;
      view.y -= dy / tall();
      keepInside();
      draw();
    }
  });

  function lift(event) {
    const held = pointers.delete(event.pointerId);
    if (!held || event.type !== 'pointerup' || moved > 4 || pointers.size) return;
    const { row, column } = cellUnder(event);
    if (row >= 0 && row < rows && column >= 0 && column < columns) select(row * columns + column);
  }
  canvas.addEventListener('pointerup', lift);
  canvas.addEventListener('pointercancel', lift);
  canvas.addEventListener('pointerleave', () => tell(-1, -1));
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const { x, y } = cellUnder(event);
    zoomBy(Math.exp(-event.deltaY / 400), x, y);
  }, { passive: false });

  // Keys.

  function step(rowStep, columnStep) {
    const middle = { row: Math.floor(rows / 2), column: Math.floor(columns / 2) };
    const from = state.cursor || middle;
    const row = Math.max(0, Math.min(rows - 1, from.row + rowStep));
    let column = from.column + columnStep;
    column = columns === worldColumns ? (column + columns) % columns : Math.max(0, Math.min(columns - 1, column));
    state.cursor = { row, column };
    const { width: wide, height } = size();
    view.x = Math.min(Math.max(view.x, column + 1 - wide / view.zoom), column);
    view.y = Math.min(Math.max(view.y, row + 1 - height / tall()), row);
    keepInside();
    tell(row, column);
    draw();
  }

  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 10 : 1;
    const keys = {
      ArrowUp: () => step(-far, 0),
      ArrowDown: () => step(far, 0),
      ArrowLeft: () => step(0, -far),
      ArrowRight: () => step(0, far),
      Enter: () => state.cursor && select(state.cursor.row * columns + state.cursor.column),
      '+': () => zoomBy(1.5),
      '=': () => zoomBy(1.5),
      '-': () => zoomBy(1 / 1.5),
      0: whole,
      Escape: clear,
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  canvas.addEventListener('focus', draw);
  canvas.addEventListener('blur', draw);

  element('zoom-in').addEventListener('click', () => zoomBy(1.5));
  element('zoom-out').addEventListener('click', () => zoomBy(1 / 1.5));
  element('zoom-all').addEventListener('click', whole);
  element('show-colours').addEventListener('click', () => show('colours'));
  element('show-similarity').addEventListener('click', () => show('similarity'));
  element('go').addEventListener('submit', (event) => {
    event.preventDefault();
    select(map.pixelAt(Number(element('lon').value), Number(element('lat').value)));
  });

  function fromAddress() {
    if (!location.hash.startsWith('#select=')) return;
    const found = /^#select=(-?[\d.]+),(-?[\d.]+)$/.exec(location.hash);
    const [lon, lat] = found ? found.slice(1).map(Number) : [NaN, NaN];
    if (Number.isFinite(lon) && Math.abs(lat) <= 90) select(map.pixelAt(lon, lat));
    else say('The address names no place: write #select=longitude,latitude in degrees.');
  }

  const ramp = element('ramp').getContext('2d');
  const table = bytesOf(about.colourMap);
  for (let shade = 0; shade < 256; shade++) {
    ramp.fillStyle = `rgb(${table[3 * shade]} ${table[3 * shade + 1]} ${table[3 * shade + 2]})`;
    ramp.fillRect(shade, 0, 1, 1);
  }
  element('swatch').style.background = about.noData;
  new ResizeObserver(() => canvas.clientWidth !== fitted && fit()).observe(canvas.parentElement);
  window.addEventListener('resize', fit);
  window.addEventListener('hashchange', fromAddress);
  fit();
  say('Choose a place.');
  fromAddress();
}

(async () => {
  try {
    const about = JSON.parse(document.getElementById('data').textContent);
    const [map] = await Promise.all([readCells(about), document.getElementById('picture').decode()]);
    showMap(about, map);
    document.body.dataset.state = 'ready';
  } catch (error) {
    document.getElementById('status').textContent = typeof DecompressionStream === 'undefined'
      ? 'This browser is too old: it has no DecompressionStream.' : `Failed: ${error.message}.`;
    document.body.dataset.state = 'failed';
    throw error;
  }
})();
