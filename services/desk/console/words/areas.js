// The areas that are loaded at the start; every other one is named by a row of routes.js.
export const FIRST_AREAS = ["frame", "ui", "alerts"];
