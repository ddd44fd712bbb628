-- xml, from a server that is built with libxml
select
  '<a>b</a>'::xml as xml_some
