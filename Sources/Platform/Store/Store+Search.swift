import Basics

extension Store {
  /// How often a text stands in any column of any table, by `table.column`: to show that something was never kept.
  ///
  /// It reads everything, so it is nothing for every day.
  public func occurrences(of text: String) async throws -> [String: Int] {
    let isPostgres = engine is PostgresEngine
    return try await read { tx in
      let columns = try tx.run(isPostgres ? Self.postgresColumns : Self.sqliteColumns)
      var found: [String: Int] = [:]
      for row in columns {
        let (table, column, kind) = (try row.text("t"), try row.text("c"), try row.text("k").lowercased())
        let isText = kind == "text"
        let contains =
          switch (isPostgres, isText) {
          case (true, true): "position(CAST(? AS TEXT) IN \"\(column)\") > 0"
          case (true, false): "position(convert_to(CAST(? AS TEXT), 'UTF8') IN \"\(column)\") > 0"
          case (false, _): "instr(CAST(\"\(column)\" AS BLOB), CAST(? AS BLOB)) > 0"
          }
        let count = try tx.run("SELECT COUNT(*) AS n FROM \"\(table)\" WHERE \(contains)", [.text(text)])
        let number = Int(try count.first?.integer("n") ?? 0)
        if number > 0 { found["\(table).\(column)"] = number }
      }
      return found
    }
  }

  private static let sqliteColumns = """
    SELECT m.name AS t, p.name AS c, p.type AS k FROM sqlite_master m JOIN pragma_table_info(m.name) p
    WHERE m.type = 'table' AND p.type IN ('TEXT', 'BLOB') ORDER BY t, c
    """
  private static let postgresColumns = """
    SELECT CAST(table_name AS TEXT) AS t, CAST(column_name AS TEXT) AS c, CAST(data_type AS TEXT) AS k
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND data_type IN ('text', 'bytea') ORDER BY t, c
    """
}
