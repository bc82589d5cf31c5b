/// A page of `docs/runbooks`, read into its parts.
///
/// The pages are Markdown for whoever reads the files. This reads as much of it as they use: headings, paragraphs,
/// lists one in another, tables, indented code, and in a line code, bold, italics and links. Anything else stands there
/// as it is written.
struct RunbookText: Equatable, Sendable {
  enum Block: Equatable, Sendable {
    case title([Span])
    case heading([Span])
    case paragraph([Span])
    case code(String)
    case list(isNumbered: Bool, items: [[Block]])
    case table(head: [[Span]], rows: [[[Span]]])
  }

  enum Span: Equatable, Sendable {
    case text(String)
    case code(String)
    case bold(String)
    case italic(String)
    case link(String, to: String)
  }

  let blocks: [Block]

  init(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    blocks = RunbookText.blocks(lines[...])
  }

  /// What the page is called.
  var title: String? {
    for case .title(let spans) in blocks { return RunbookText.plain(spans) }
    return nil
  }

  // MARK: - Blocks

  private static func blocks(_ given: ArraySlice<String>) -> [Block] {
    var (lines, blocks): (ArraySlice<String>, [Block]) = (given, [])
    while let line = lines.first {
      if line.allSatisfy(\.isWhitespace) {
        lines.removeFirst()
      } else if line.hasPrefix("    ") {
        blocks.append(.code(code(&lines)))
      } else if let heading = heading(line) {
        blocks.append(heading)
        lines.removeFirst()
      } else if marker(line) != nil {
        blocks.append(list(&lines))
      } else if line.hasPrefix("|") {
        blocks.append(table(&lines))
      } else {
        blocks.append(.paragraph(spans(paragraph(&lines))))
      }
    }
    return blocks
  }

  private static func heading(_ line: String) -> Block? {
    if line.hasPrefix("# ") { return .title(spans(String(line.dropFirst(2)))) }
    if line.hasPrefix("## ") { return .heading(spans(String(line.dropFirst(3)))) }
    return nil
  }

  /// How many characters the mark of an item takes, and whether it is a number; nil for a line that begins none.
  private static func marker(_ line: String) -> (width: Int, isNumbered: Bool)? {
    if line.hasPrefix("- ") { return (2, false) }
    let digits = line.prefix { $0.isASCII && $0.isNumber }
    guard (1...3).contains(digits.count), line.dropFirst(digits.count).hasPrefix(". ") else { return nil }
    return (digits.count + 2, true)
  }

  private static func paragraph(_ lines: inout ArraySlice<String>) -> String {
    var taken: [String] = []
    while let line = lines.first, !line.allSatisfy(\.isWhitespace),
      taken.isEmpty || (heading(line) == nil && marker(line) == nil && !line.hasPrefix("|"))
    {
      taken.append(line.trimmed)
      lines.removeFirst()
    }
    return taken.joined(separator: " ")
  }

  /// Lines with four spaces before them, and empty ones between.
  private static func code(_ lines: inout ArraySlice<String>) -> String {
    var taken: [String] = []
    while let line = lines.first, line.hasPrefix("    ") || line.allSatisfy(\.isWhitespace) {
      taken.append(String(line.dropFirst(4)))
      lines.removeFirst()
    }
    while taken.last?.allSatisfy(\.isWhitespace) == true { taken.removeLast() }
    return taken.joined(separator: "\n")
  }

  /// An item is its line and what stands further in below it.
  private static func list(_ lines: inout ArraySlice<String>) -> Block {
    let isNumbered = lines.first.flatMap { marker($0) }?.isNumbered ?? false
    var items: [[Block]] = []
    while let line = lines.first, let mark = marker(line), mark.isNumbered == isNumbered {
      lines.removeFirst()
      var content = [String(line.dropFirst(mark.width))]
      while let next = lines.first {
        let isEmpty = next.allSatisfy(\.isWhitespace)
        // An empty line belongs to the item when what follows it does.
        guard isEmpty ? continues(lines.dropFirst(), mark.width) : indent(next) >= mark.width else { break }
        content.append(isEmpty ? "" : String(next.dropFirst(mark.width)))
        lines.removeFirst()
      }
      items.append(blocks(content[...]))
      let rest = lines.drop { $0.allSatisfy(\.isWhitespace) }
      if let next = rest.first, marker(next)?.isNumbered == isNumbered { lines = rest }
    }
    return .list(isNumbered: isNumbered, items: items)
  }

  private static func continues(_ lines: ArraySlice<String>, _ width: Int) -> Bool {
    guard let next = lines.first(where: { !$0.allSatisfy(\.isWhitespace) }) else { return false }
    return indent(next) >= width
  }

  private static func indent(_ line: String) -> Int { line.prefix { $0 == " " }.count }

  private static func table(_ lines: inout ArraySlice<String>) -> Block {
    var rows: [[[Span]]] = []
    while let line = lines.first, line.hasPrefix("|") {
      lines.removeFirst()
      let cells = line.trimmed.dropFirst().dropLast(line.trimmed.hasSuffix("|") ? 1 : 0)
        .split(separator: "|", omittingEmptySubsequences: false).map { String($0).trimmed }
      if cells.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0 == "-" || $0 == ":" } }) { continue }
      rows.append(cells.map(spans))
    }
    return .table(head: rows.first ?? [], rows: Array(rows.dropFirst()))
  }

  // MARK: - Spans

  static func spans(_ text: String) -> [Span] {
    var (rest, plain, spans): (Substring, String, [Span]) = (text[...], "", [])
    while !rest.isEmpty {
      if let (span, length) = special(rest) {
        if !plain.isEmpty { spans.append(.text(plain)) }
        plain = ""
        spans.append(span)
        rest = rest.dropFirst(length)
      } else {
        plain.append(rest.removeFirst())
      }
    }
    if !plain.isEmpty { spans.append(.text(plain)) }
    return spans
  }

  /// What begins here, with how many characters it takes; nil for plain text.
  private static func special(_ text: Substring) -> (Span, Int)? {
    guard let first = text.first, "`*[".contains(first) else { return nil }
    if let match = text.prefixMatch(of: /`([^`]+)`/) { return (.code(String(match.output.1)), match.output.0.count) }
    if let match = text.prefixMatch(of: /\*\*([^*]+)\*\*/) {
      return (.bold(String(match.output.1)), match.output.0.count)
    }
    if let match = text.prefixMatch(of: /\*([^*\s][^*]*)\*/) {
      return (.italic(String(match.output.1)), match.output.0.count)
    }
    if let match = text.prefixMatch(of: /\[([^\]]+)\]\(([^)\s]+)\)/), let target = target(String(match.output.2)) {
      return (.link(String(match.output.1), to: target), match.output.0.count)
    }
    return nil
  }

  /// Where a link leads on the console: to another page, or out over https. Nil for everything else.
  private static func target(_ text: String) -> String? {
    if let match = text.wholeMatch(of: /([a-z0-9-]+)\.md/) { return "/runbooks/" + match.output.1 }
    return text.hasPrefix("https://") ? text : nil
  }

  private static func plain(_ spans: [Span]) -> String {
    spans.map { span in
      switch span {
      case .text(let text), .code(let text), .bold(let text), .italic(let text), .link(let text, _): text
      }
    }.joined()
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
