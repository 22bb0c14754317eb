// Print what nsfwjs itself says of pictures: the reference of tests/generation/engine/checkers/. Run by hand.
//
//   npm install nsfwjs@4.3.0 @tensorflow/tfjs@4 buffer
//   node tools/nsfwjs_scores.mjs PICTURES > scores.json
//
// PICTURES is a file of pictures, each: width and height as little-endian uint32, then RGB bytes.
import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { load } from "nsfwjs/core";
import { MobileNetV2Model } from "nsfwjs/models/mobilenet_v2";

console.info = () => {};
await tf.setBackend("cpu");
const model = await load("MobileNetV2", { modelDefinitions: [MobileNetV2Model] });
const bytes = readFileSync(process.argv[2]);
const scores = [];
for (let at = 0; at < bytes.length; ) {
  const width = bytes.readUInt32LE(at), height = bytes.readUInt32LE(at + 4);
  const size = width * height * 3;
  const pixels = tf.tensor3d(new Int32Array(bytes.subarray(at + 8, at + 8 + size)), [height, width, 3], "int32");
  scores.push(Array.from(await model.infer(pixels).data()));
  pixels.dispose();
  at += 8 + size;
}
console.log(JSON.stringify(scores));
