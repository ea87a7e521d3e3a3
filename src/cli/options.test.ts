import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { hostName, origin } from './options.js';

describe('origins and names', () => {
  it.each([
    ['https://shop.example', 'https://shop.example'],
    ['https://Shop.example/', 'https://shop.example'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['https://shop.example:443', 'https://shop.example'],
  ])('take %s as browsers write it', (text, expected) => {
    expect(origin(text)).toBe(expected);
  });

  it.each(['', '*', 'shop.example', 'https://shop.example/page', 'https://me@shop.example', 'file:///x'])(
    'refuse %j, which no page is of',
    (text) => {
      expect(() => origin(text)).toThrow(InvalidArgumentError);
    },
  );

  it.each([
    ['Images.Example.com', 'images.example.com'],
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '[::1]'],
  ])('take the name %s', (text, expected) => {
    expect(hostName(text)).toBe(expected);
  });

  it.each(['', 'https://example.com', 'example.com:8080', 'example.com/', 'a b', '*.example.com?'])(
    'refuse %j, which is no name',
    (text) => {
      expect(() => hostName(text)).toThrow(InvalidArgumentError);
    },
  );
});
