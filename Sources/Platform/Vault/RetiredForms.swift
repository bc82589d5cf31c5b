import Basics
import Foundation
import Hygiene

/// What the vault keeps of values that were replaced or removed, so that they are still found in what is written
/// afterwards: no value, but keyed digests of its forms, sealed like everything else in the file.
struct RetiredForms: Codable {
  struct Value: Codable {
    let reference: String
    let at: Timestamp
    let forms: CompiledForms
  }

  /// How long a value that is gone is looked for.
  static let keptFor = Duration.seconds(30 * 86_400)
  /// How many are kept, the newest.
  static let valuesMax = 256
  /// Where they lie in the file. It is nobody's secret, so the vault does not list it.
  static let reference = SecretReference.ofTheVault("hygiene/retired")

  /// The vault's key at that time: the digests are keyed with what follows from it, and say nothing under another.
  var keyName: String
  var values: [Value] = []

  /// Those of a file; none after its key was changed.
  init(of file: VaultFile) throws {
    keyName = file.keyName
    guard let secret = try file.open(RetiredForms.reference),
      let kept = secret.withBytes({ try? JSONDecoder().decode(RetiredForms.self, from: Data($0)) }),
      kept.keyName == file.keyName
    else { return }
    values = kept.values
  }

  /// Adds what a change has replaced or removed.
  static func note(_ old: VaultFile, to new: inout VaultFile, key: VaultKey, at now: Timestamp) throws {
    let gone = old.entries.filter { $0.key != reference && new.entries[$0.key]?.sealed != $0.value.sealed }
    guard !gone.isEmpty else { return }
    var retired = try RetiredForms(of: old)
    retired.values.removeAll { now.since($0.at) > keptFor }
    for name in gone.keys.sorted() {
      // One that cannot be opened any more can still be removed.
      guard let value = (try? old.open(name)) ?? nil,
        let forms = CompiledForms(value, key: key.derived(for: SecretWatch.purpose))
      else { continue }
      retired.values.append(Value(reference: name.text, at: now, forms: forms))
    }
    retired.values = Array(retired.values.suffix(valuesMax))
    try new.put(Secret(bytes: Array(try JSONEncoder().encode(retired))), at: reference)
  }
}
