/// Members of nested objects by dotted paths, such as `tools.exec.ask`. No key of such a path has a dot in it.
extension JSONValue {
  /// The value at a dotted path; nil when a member on the way is missing or no object.
  public func value(at path: String) -> JSONValue? {
    path.split(separator: ".").reduce(Optional(self)) { $0?[String($1)] }
  }

  /// The same with the value at a dotted path. Objects on the way are made; what is none there gives way.
  public func setting(_ value: JSONValue, at path: String) -> JSONValue {
    setting(value, at: path.split(separator: ".")[...])
  }

  private func setting(_ value: JSONValue, at keys: ArraySlice<Substring>) -> JSONValue {
    guard let key = keys.first.map(String.init) else { return value }
    var members = objectValue ?? [:]
    members[key] = (members[key] ?? [:]).setting(value, at: keys.dropFirst())
    return .object(members)
  }
}
