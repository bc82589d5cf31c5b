import Basics

/// The closed world: what no profile knows is not kept.
extension FieldProfiles {
  /// Members that AW itself adds to data, whatever the kind is: commitments, what was dropped, and what is in
  /// quarantine.
  public static let reserved: Set<String> = ["_sd", "_sd_alg", dropped, quarantined]
  public static let dropped = "_dropped"
  public static let quarantined = "_quarantined"

  /// Whether the profile of a kind has a field.
  public func has(_ field: String, of kind: String) -> Bool { kinds[kind]?[field] != nil }

  /// The data without the members that the profile of the kind does not have, and their names, sorted. What was
  /// dropped is said in the data: how many, and which, where a name is a name and nothing else.
  ///
  /// - Parameter more: names of fields beside the data that were dropped, too.
  public func closed(
    _ data: JSONValue, of kind: String, and more: [String] = []
  ) -> (data: JSONValue, names: [String]) {
    guard var members = data.objectValue else { return (data, []) }
    let names = (members.keys.filter { !Self.reserved.contains($0) && !has($0, of: kind) } + more).sorted()
    guard !names.isEmpty else { return (data, []) }
    for name in names { members[name] = nil }
    // An entry that dropped something when it was written can have more to drop by a later profile.
    let before = members[Self.dropped]
    let count = (before?["count"]?.intValue ?? 0) + Int64(names.count)
    let told = (before?["names"]?.arrayValue ?? []) + names.filter(Self.isHarmless).map { .string($0) }
    members[Self.dropped] = ["count": .integer(count), "names": .array(told)]
    return (.object(members), names)
  }

  /// Words in camel case, as the code writes them: no digits, and not long. What a person or a machine put into a name
  /// by mistake is seldom so, and the search for known values looks at it all the same.
  static func isHarmless(_ name: String) -> Bool {
    name.utf8.count <= 32 && name.wholeMatch(of: /[a-z]+([A-Z][a-z]+)*/) != nil
  }
}
