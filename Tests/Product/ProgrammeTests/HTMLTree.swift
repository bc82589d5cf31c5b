import Basics

/// HTML as AW's templates write it, read as a tree: enough to ask what a page says, and where.
final class HTMLTree {
  let name: String
  let attributes: [String: String]
  private(set) var children: [Part] = []

  enum Part {
    case text(String)
    case element(HTMLTree)
  }

  private static let empty: Set<String> = ["meta", "link", "input", "br", "img", "hr"]
  /// What holds text alone, whatever it looks like.
  private static let raw: Set<String> = ["style", "script"]

  private init(_ name: String, _ attributes: [String: String]) { (self.name, self.attributes) = (name, attributes) }

  struct Malformed: Error {
    let what: String
  }

  /// - Throws: for an element that is not closed, or closed by another's name: browsers would guess.
  static func parse(_ html: String) throws -> HTMLTree {
    let root = HTMLTree("", [:])
    var open = [root]
    var rest = html[...]
    while !rest.isEmpty {
      if let isRaw = open.last, raw.contains(isRaw.name), let end = rest.firstRange(of: "</\(isRaw.name)>") {
        isRaw.children.append(.text(String(rest[..<end.lowerBound])))
        rest = rest[end.lowerBound...]
      }
      guard rest.first == "<" else {
        let text = rest.prefix { $0 != "<" }
        open.last?.children.append(.text(decode(text)))
        rest = rest[text.endIndex...]
        continue
      }
      guard let match = rest.prefixMatch(of: /<(?<close>\/?)(?<name>[!A-Za-z][A-Za-z0-9]*)(?<rest>(?:[^>"]|"[^"]*")*)>/)
      else { throw Malformed(what: String(rest.prefix(40))) }
      rest = rest[match.range.upperBound...]
      let name = String(match.output.name)
      if name.hasPrefix("!") { continue }
      if !match.output.close.isEmpty {
        guard open.count > 1, open.removeLast().name == name else { throw Malformed(what: "</\(name)>") }
        continue
      }
      let element = HTMLTree(name, attributes(match.output.rest))
      open.last?.children.append(.element(element))
      if !empty.contains(name) { open.append(element) }
    }
    guard open.count == 1 else { throw Malformed(what: "<\(open.last?.name ?? "")> is not closed") }
    return root
  }

  private static func attributes(_ text: Substring) -> [String: String] {
    let pairs = text.matches(of: /(?<name>[a-z-]+)(?:="(?<value>[^"]*)")?/).map {
      (String($0.output.name), decode($0.output.value ?? ""))
    }
    return Dictionary(pairs) { first, _ in first }
  }

  private static func decode(_ text: Substring) -> String {
    String(text).replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
      .replacing("&#39;", with: "'").replacing("&amp;", with: "&")
  }

  // MARK: - Asking

  /// Every element below, in the order of the page.
  var all: [HTMLTree] {
    children.flatMap { part -> [HTMLTree] in
      if case .element(let element) = part { [element] + element.all } else { [] }
    }
  }

  var text: String {
    children.map { part in
      switch part {
      case .text(let text): text
      case .element(let element): element.text
      }
    }.joined()
  }

  /// Its text as it is read: what begins a line of its own stands apart.
  var words: String { spaced.split(whereSeparator: \.isWhitespace).joined(separator: " ") }

  private static let inline: Set<String> = ["a", "code", "del", "ins", "s", "small", "span", "strong", "time"]

  private var spaced: String {
    let inner = children.map { part in
      switch part {
      case .text(let text): text
      case .element(let element): element.spaced
      }
    }.joined()
    return Self.inline.contains(name) ? inner : " \(inner) "
  }

  func has(_ style: String) -> Bool { attributes["class"]?.split(separator: " ").contains(Substring(style)) == true }

  func element(_ id: String) -> HTMLTree? { all.first { $0.attributes["id"] == id } }

  func all(_ name: String) -> [HTMLTree] { all.filter { $0.name == name } }
}
