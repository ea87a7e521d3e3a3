/** The texts that the shared components show: those of strings.ts, or another set below a `Texts.Provider`. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { strings } from '../strings.js';

export type Strings = typeof strings;

export const Texts = createContext<Strings>(strings);

export function useTexts(): Strings {
  return useContext(Texts);
}
