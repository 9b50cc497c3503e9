// Cells of a map, their vectors, and what is like what; nothing here knows of the screen.
'use strict';

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readCells(about) {
  const { rows, columns, cells, cellDeg, worldRows, worldColumns } = about;
  // [cells x (components + 1)], each of length 1; the last number is what all have in common.
  const width = about.components + 1;
  const vectors = new Float32Array(cells * width);
  // Number of a cell among those with data, -1 where there is none; and the other way round.
  const numberOf = new Int32Array(rows * columns).fill(-1);
  const pixelOf = new Int32Array(cells);

  const bits = await inflated(about.valid);
  let count = 0;
  for (let pixel = 0; pixel < rows * columns; pixel++) {
    if ((bits[pixel >> 3] >> (pixel & 7)) & 1) {
      pixelOf[count] = pixel;
      numberOf[pixel] = count++;
    }
  }
  const packed = new Int8Array((await inflated(about.vectors)).buffer);
  if (count !== cells || packed.length !== cells * about.components) throw new Error('the file is damaged');
  for (let part = 0; part < about.components; part++) {
    for (let cell = 0; cell < cells; cell++) {
      vectors[cell * width + part] = packed[part * cells + cell] * about.step[part] + about.middle[part];
    }
  }
  for (let cell = 0; cell < cells; cell++) {
    const from = cell * width;
    vectors[from + width - 1] = about.rest;
    let square = 0;
    for (let part = 0; part < width; part++) square += vectors[from + part] ** 2;
    const length = Math.sqrt(square) || 1;
    for (let part = 0; part < width; part++) vectors[from + part] /= length;
  }

  // Places.

  const turned = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;

  function placeAt(pixel) {
    const row = Math.floor(pixel / columns);
    const column = pixel % columns;
    return { row, column, pixel, lon: turned(about.west + column * cellDeg), lat: about.north - row * cellDeg };
  }

  // As Cell.at: what is between two cells belongs to the eastern and northern one.
  function pixelAt(lon, lat) {
    const south = Math.min(Math.floor((lat + 90) / cellDeg + 0.5), worldRows - 1);
    const row = Math.round((about.north + 90) / cellDeg) - south;
    const offset = Math.floor((lon + 180) / cellDeg + 0.5) - Math.round((about.west + 180) / cellDeg);
    const column = ((offset % worldColumns) + worldColumns) % worldColumns;
    return row >= 0 && row < rows && column < columns ? row * columns + column : -1;
  }

  function gridId(place) {
    const column = Math.round((place.lon + 180) / cellDeg) % worldColumns;
    return Math.round((place.lat + 90) / cellDeg) * worldColumns + column;
  }

  function cellName(place) {
    const number = String(gridId(place)).padStart(7, '0');
    return `${number}_${place.lon.toFixed(2)}_${place.lat.toFixed(2)}`;
  }

  function degrees(place) {
    const lat = `${Math.abs(place.lat)}°${place.lat > 0 ? 'N' : place.lat < 0 ? 'S' : ''}`;
    const side = place.lon === 0 || place.lon === -180 ? '' : place.lon > 0 ? 'E' : 'W';
    return `${lat} ${Math.abs(place.lon)}°${side}`;
  }

  function distanceKm(a, b) {
    const radians = Math.PI / 180;
    const half = Math.sin(((b.lat - a.lat) * radians) / 2) ** 2
      + Math.cos(a.lat * radians) * Math.cos(b.lat * radians) * Math.sin(((b.lon - a.lon) * radians) / 2) ** 2;
    return 2 * about.earthRadiusKm * Math.asin(Math.sqrt(Math.min(half, 1)));
  }

  // Comparing.

  function compared(number) {
    const found = new Float32Array(cells);
    const target = vectors.subarray(number * width, (number + 1) * width);
    for (let cell = 0, from = 0; cell < cells; cell++, from += width) {
      let sum = 0;
      for (let part = 0; part < width; part++) sum += vectors[from + part] * target[part];
      found[cell] = sum;
    }
    return found;
  }

  function percentile(values, percent) {
    const sorted = Float32Array.from(values).sort();
    const at = (percent / 100) * (sorted.length - 1);
    const below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
  }

  function mostLike(here, similarity) {
    const left = new Uint8Array(cells);
    const apart = about.minDistanceKm;
    const keep = (other) => {
      for (let cell = 0; cell < cells; cell++) {
        if (left[cell] && apart && distanceKm(other, placeAt(pixelOf[cell])) < apart) left[cell] = 0;
      }
    };
    left.fill(1);
    keep(here);
    const chosen = [];
    while (chosen.length < about.places) {
      let best = -1;
      for (let cell = 0; cell < cells; cell++) {
        if (!left[cell]) continue;
        // Of the same similarity the lower number comes first, and numbers grow towards the north.
        const more = best < 0 ? 1 : similarity[cell] - similarity[best];
        if (more > 0 || (more === 0 && gridId(placeAt(pixelOf[cell])) < gridId(placeAt(pixelOf[best])))) best = cell;
      }
      if (best < 0) break;
      const place = { ...placeAt(pixelOf[best]), similarity: similarity[best] };
      place.away = distanceKm(here, place);
      chosen.push(place);
      left[best] = 0;
      keep(place);
    }
    return chosen;
  }

  function nearestWithData(here) {
    let best = null;
    for (let cell = 0; cell < cells; cell++) {
      const place = placeAt(pixelOf[cell]);
      const away = distanceKm(here, place);
      if (!best || away < best.away) best = { ...place, away };
    }
    return best;
  }

  return {
    numberOf, pixelOf, turned, placeAt, pixelAt, gridId, cellName, degrees,
    compared, percentile, mostLike, nearestWithData,
  };
}
